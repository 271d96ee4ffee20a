//! Taking everything along, and bringing it back: the caller's export and import, and for administrators a copy of the
//! whole database.

use std::io::BufWriter;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Ctx;
use crate::app::App;
use crate::backups;
use crate::chores::{self, Temporary, unwritable};
use crate::error::{Error, Kind};
use crate::http::{Auth, Deferred, Download, FormFile, Later, Query, Reply, Route, Typed, get, post};
use crate::portable::{self, Destination, Files, Mode, Report};
use crate::store::{self, Act, Subject, Tx};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/export",
        Auth::User,
        "Everything the caller has, as one JSON file or an archive of Markdown",
        &Deferred(export),
    )
    .fails(&[Kind::Unavailable]),
    post(
        "/import",
        Auth::User,
        "Add what a file holds, an export of Fireside or another program; what is here already stays as it is",
        &Deferred(import),
    )
    .transfers()
    .fails(&[Kind::Unavailable]),
    // By GET as well: a page can offer that as a link, and the browser writes to disk what it would else gather.
    get(
        "/admin/backup",
        Auth::Admin,
        "A copy of the whole database, made while it is in use",
        &Deferred(back_up),
    )
    .fails(&[Kind::Unavailable, Kind::StorageFull]),
    post(
        "/admin/backup",
        Auth::Admin,
        "A copy of the whole database, made while it is in use",
        &Deferred(back_up),
    )
    .fails(&[Kind::Unavailable, Kind::StorageFull]),
];

/// Bytes that are gathered before they are written to a file.
const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// False leaves out the bytes of files.
    #[serde(default = "yes")]
    attachments: bool,
    /// `json`, which can be imported again, or `markdown`: a folder of texts, as a zip archive.
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Markdown,
}

fn yes() -> bool {
    true
}

fn export(ctx: &Ctx, Query(wanted): Query<Wanted>, respond: Later<Download>) {
    let begun = ctx.user().and_then(|user| {
        let (transfers, downloads) = (&ctx.app.transfers, &ctx.app.downloads);
        Ok((user.clone(), transfers.begin(user.id)?, downloads.begin(user.id)?))
    });
    let (user, permit, until_fetched) = match begun {
        Ok(begun) => begun,
        Err(error) => return respond.send(Err(error)),
    };
    let files = if wanted.attachments { Files::Whole } else { Files::Named };
    let app = Arc::clone(&ctx.app);
    on_thread("export", respond, move || {
        let temporary = Temporary::new(&app.settings.spool(), until_fetched)?;
        let file = temporary.file.try_clone().map_err(|error| unwritable(&error))?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        let (out, media, ending) = match wanted.format {
            Format::Json => {
                let out = portable::export(&app.store, &user, files, out, unwritable)?;
                (out, "application/json", "json")
            }
            Format::Markdown => {
                let out = portable::export_markdown(&app.store, &user, out, unwritable)?;
                (out, "application/zip", "zip")
            }
        };
        out.into_inner().map_err(|error| unwritable(error.error()))?;
        // A client that takes its time keeps nobody else from the work.
        drop(permit);
        download(&app, temporary, media, ending)
    });
}

#[derive(Deserialize, JsonSchema)]
struct Rehearsal {
    /// True says what would happen, and stores nothing.
    #[serde(default)]
    dry_run: bool,
}

fn import(ctx: &Ctx, (Query(asked), FormFile(file)): (Query<Rehearsal>, FormFile), respond: Later<Typed<Report>>) {
    let begun = ctx
        .user()
        .and_then(|user| Ok((user.clone(), ctx.app.transfers.begin(user.id)?)));
    let (user, permit) = match begun {
        Ok(begun) => begun,
        Err(error) => return respond.send(Err(error)),
    };
    let app = Arc::clone(&ctx.app);
    on_thread("import", respond, move || {
        let to = Destination {
            store: Arc::clone(&app.store),
            owner: user.id,
            quota_bytes: app.policy.upload_quota_bytes(user.limits),
            file_bytes_max: app.settings.max_upload_bytes,
            scratch: app.settings.spool(),
            mode: if asked.dry_run { Mode::Rehearse } else { Mode::Store },
        };
        let report = portable::import(&to, &file.filename, || file.reader());
        drop(permit);
        Typed::json(&report?)
    });
}

fn back_up(ctx: &Ctx, (): (), respond: Later<Download>) {
    let begun = ctx.user().and_then(|user| {
        let (backups, downloads) = (&ctx.app.backups, &ctx.app.downloads);
        Ok((backups.begin(user.id)?, downloads.begin(user.id)?, ctx.doer()?))
    });
    let (permit, until_fetched, doer) = match begun {
        Ok(begun) => begun,
        Err(error) => return respond.send(Err(error)),
    };
    let app = Arc::clone(&ctx.app);
    on_thread("backup", respond, move || {
        let spool = app.settings.spool();
        backups::check_room(&app.store, &spool)?;
        let temporary = Temporary::new(&spool, until_fetched)?;
        app.store.back_up(temporary.path())?;
        // Before anybody has it: a copy holds what all users have.
        let note =
            move |tx: &Tx<'_>| store::insert_entry(tx, &doer, Act::BackupCreate, &Subject::default(), Vec::new());
        app.store.write(note)?;
        drop(permit);
        download(&app, temporary, "application/vnd.sqlite3", "db")
    });
}

/// Answers from a thread of its own.
fn on_thread<A: Into<Reply> + 'static>(
    name: &str,
    respond: Later<A>,
    work: impl FnOnce() -> Result<A, Error> + Send + 'static,
) where
    Later<A>: Send,
{
    // Without a thread the responder is dropped, which answers for itself.
    if let Err(error) = chores::run(name, move || respond.send(work())) {
        log::error!("{error}");
    }
}

/// Sends the file as the client takes it; then it is gone.
fn download(app: &App, temporary: Temporary, media: &'static str, ending: &str) -> Result<Download, Error> {
    let (temporary, length) = temporary.finish()?;
    let day = app.clock.now().text();
    let name = format!("attachment; filename=\"fireside-{}.{ending}\"", &day[..10]);
    let reply = Reply::stream(200, media, length, Box::new(temporary));
    let reply = reply
        .header("Content-Disposition", &name)
        .header("Cache-Control", "no-store");
    Ok(Download(reply))
}
