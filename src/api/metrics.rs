//! The server in figures, in Prometheus' text format, version 0.0.4. For programs on this machine, and for administrators.

use std::fmt::Write as _;

use super::{Ctx, session};
use crate::error::Error;
use crate::http::{Auth, Raw, Reply, Route, Text, get};
use crate::system;

pub(super) const ROUTES: &[Route<Ctx>] = &[get(
    "/metrics",
    Auth::Public,
    "The server in figures, for Prometheus; without a token when local, else for administrators",
    &Raw(metrics),
)];

fn metrics(ctx: &Ctx, (): ()) -> Result<Text, Error> {
    let app = &ctx.app;
    if !app.is_local(&ctx.request) {
        session::find_caller(app, &ctx.request, Auth::Admin)?;
    }
    let mut page = Page::default();
    let replies = app.figures.replies();
    page.head(
        "fireside_requests_total",
        "counter",
        "Replies by the class of their status.",
    );
    for (class, count) in (1..).zip(replies) {
        page.line(&format!("fireside_requests_total{{class=\"{class}xx\"}}"), count);
    }
    let waiting = app.figures.waiting();
    page.head("fireside_requests_waiting", "gauge", "Requests that wait for a worker.");
    page.line("fireside_requests_waiting{kind=\"read\"}", waiting.reads);
    page.line("fireside_requests_waiting{kind=\"write\"}", waiting.writes);
    page.one(
        "fireside_connections",
        "gauge",
        "Open connections.",
        app.figures.connections(),
    );
    page.one("fireside_turns", "gauge", "Replies being written.", app.turns.running());
    let writer = app.store.figures();
    page.one(
        "fireside_store_commits_total",
        "counter",
        "Transactions.",
        writer.commits,
    );
    page.one("fireside_store_jobs_total", "counter", "Writes in them.", writer.jobs);
    page.one(
        "fireside_store_jobs_waiting",
        "gauge",
        "Writes that wait.",
        writer.waiting,
    );
    let is_up = u8::from(app.store.trouble().is_none());
    page.one(
        "fireside_store_up",
        "gauge",
        "1 while the store can be written to.",
        is_up,
    );
    if let Some(bytes) = system::resident_bytes() {
        page.one("process_resident_memory_bytes", "gauge", "Resident memory.", bytes);
    }
    page.head("fireside_info", "gauge", "Always 1; the version is its label.");
    page.line(concat!("fireside_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1);
    let reply = Reply::bytes(200, "text/plain; version=0.0.4; charset=utf-8", page.0.into_bytes());
    Ok(Text(reply.header("Cache-Control", "no-store")))
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        self.line(name, value);
    }
}
