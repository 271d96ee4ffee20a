//! A stream with a pause in it: what stands between a client and this server, and holds words back, shows itself by it.

use std::thread;
use std::time::Duration;

use super::Ctx;
use crate::chores;
use crate::http::{Auth, Deferred, EventStream, Later, Media, Route, get};

pub(super) const ROUTES: &[Route<Ctx>] = &[get(
    "/admin/pace",
    Auth::Admin,
    "Two events with a second between them, for finding out whether a proxy holds streams back (fireside doctor)",
    &Deferred(pace),
)];

/// Between the two: longer than any way through the net, and no longer than a person likes to wait.
const PAUSE: Duration = Duration::from_secs(1);

fn pace(ctx: &Ctx, (): (), respond: Later<EventStream>) {
    // Of the few that may run at a time, as it keeps a thread.
    let permit = ctx.user().and_then(|user| ctx.app.transfers.begin(user.id));
    let permit = match permit {
        Ok(permit) => permit,
        Err(error) => return respond.send(Err(error)),
    };
    let Some(push) = respond.stream(Media::Events, &[]) else {
        return;
    };
    let started = chores::run("pace", move || {
        let _permit = permit;
        let sent = push.send(b"event: first\ndata: {}\n\n");
        thread::sleep(PAUSE);
        if sent.is_ok() && push.send(b"event: second\ndata: {}\n\n").is_ok() {
            push.finish();
        }
    });
    if let Err(error) = started {
        log::warn!("{error}");
    }
}
