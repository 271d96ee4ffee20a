//! A stream with pauses in it: what stands between a client and this server, and holds words back or ends what is silent
//! for a while, shows itself by it. Its first event says how the request has arrived.

use std::net::IpAddr;
use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;

use super::Ctx;
use crate::chores;
use crate::http::{Auth, Deferred, EventStream, Later, Media, Push, Route, get};

pub(super) const ROUTES: &[Route<Ctx>] = &[get(
    "/admin/pace",
    Auth::Admin,
    "Two events with a second between them, and a third after the next sign of life, for finding out what a proxy does to \
     streams (fireside doctor)",
    &Deferred(pace),
)];

/// Between the first two: longer than any way through the net, and no longer than a person likes to wait.
const PAUSE: Duration = Duration::from_secs(1);

/// Before the third: longer than the 15 seconds after which the engine gives a sign of life.
const SILENCE: Duration = Duration::from_secs(16);

/// How a request has arrived.
#[derive(Serialize)]
struct Arrival {
    /// Whose connection it came over.
    peer: IpAddr,
    /// Whether that is a proxy that is believed.
    is_trusted: bool,
    /// Whether somebody says in X-Forwarded-For who has asked.
    is_forwarded: bool,
}

fn pace(ctx: &Ctx, (): (), respond: Later<EventStream>) {
    // Of the few that may run at a time, as it keeps a thread.
    let permit = ctx.user().and_then(|user| ctx.app.transfers.begin(user.id));
    let permit = match permit {
        Ok(permit) => permit,
        Err(error) => return respond.send(Err(error)),
    };
    let peer = ctx.request.peer().to_canonical();
    let arrival = Arrival {
        peer,
        is_trusted: ctx.app.settings.trusted_proxies.contains(&peer),
        is_forwarded: ctx
            .request
            .has_header(|name| name.eq_ignore_ascii_case("X-Forwarded-For")),
    };
    let Some(push) = respond.stream(Media::Events, &[]) else {
        return;
    };
    let started = chores::run("pace", move || {
        let _permit = permit;
        play(push, &arrival);
    });
    if let Err(error) = started {
        log::warn!("{error}");
    }
}

/// All of it, unless the client leaves before.
fn play(push: Push, arrival: &Arrival) {
    let (left, gone) = mpsc::channel::<()>();
    push.on_gone(move || drop(left));
    // A struct of plain fields: nothing that could fail.
    let arrival = serde_json::to_string(arrival).unwrap_or_default();
    let events = [
        (format!("event: first\ndata: {arrival}\n\n"), PAUSE),
        ("event: second\ndata: {}\n\n".to_owned(), SILENCE),
        ("event: third\ndata: {}\n\n".to_owned(), Duration::ZERO),
    ];
    for (event, pause) in events {
        let is_over = push.send(event.as_bytes()).is_err();
        if is_over || gone.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Disconnected) {
            return;
        }
    }
    push.finish();
}
