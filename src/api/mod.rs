//! The doors: one file per family of clients, each with its table of routes first. Wire types stop here.

mod accounts;
mod admin;
mod ai_chat;
mod api_keys;
mod attachments;
mod audit;
mod blocks;
mod changes;
mod chat_form;
mod chatai;
mod docs;
mod events;
mod flutter;
mod html;
mod library;
mod local;
mod metrics;
mod models;
mod openai;
mod pace;
mod paging;
mod portable;
mod providers;
mod regenerate;
mod rules;
mod search;
mod seat;
mod send;
mod session;
mod sign_in;
mod sockets;
mod start;
mod stream;
mod swagger;
mod system;
mod tags;
mod todo;
mod tree;
mod ui;
mod usage;
mod views;

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::cli::Settings;
use crate::error::{Error, Issue, Kind};
use crate::http::{
    Auth, FORM_BYTES_MAX, Family, Handler, Method, Reply, Request, Responder, Route, Router, Sharing, Wording,
};
use crate::models::FailureKind;
use crate::store::{self, Ref, User};
use crate::turn::{Admission, Fault};

use session::Caller;
use ui::Assets;

/// Every family's table.
const TABLES: &[Family<Ctx>] = &[
    family("Server", "The server about itself", system::ROUTES),
    family("Accounts", "Making accounts, signing in and out", accounts::ROUTES),
    family("Command line", "Signing in on the machine itself", local::ROUTES),
    family("API keys", "Long-lived tokens for programs", api_keys::ROUTES),
    family(
        "AI chat",
        "The AI Chat Backend's routes: chats with UUIDs",
        ai_chat::ROUTES,
    ),
    family(
        "Flutter",
        "The Flutter client's routes: paths that end in a slash, messages with UUIDs",
        flutter::ROUTES,
    ),
    family("Events", "What happens, as it happens", sockets::ROUTES),
    family("Streams", "Replies while they are written", events::ROUTES),
    family(
        "Todo assistant",
        "The user's id in the path, integer conversation ids",
        todo::ROUTES,
    ),
    family(
        "ChatAI",
        "ChatAI's routes: conversations with integer ids, and what replies cost",
        chatai::ROUTES,
    ),
    family("Branches", "A conversation as the tree that it is", tree::ROUTES),
    family(
        "Replies",
        "Ways to a reply other than a new message",
        regenerate::ROUTES,
    ),
    family(
        "Tags and settings",
        "What users file conversations under, and what clients keep for them",
        tags::ROUTES,
    ),
    family("Files", "Uploads and attachments", attachments::ROUTES),
    family(
        "OpenAI",
        "OpenAI's routes: what is asked here is passed on to a model, and not kept",
        openai::ROUTES,
    ),
    family("Library", "The documents that replies may draw on", library::ROUTES),
    family("Usage", "What models cost", usage::ROUTES),
    family(
        "Administration",
        "Everybody's accounts, for administrators",
        admin::ROUTES,
    ),
    family(
        "Rules",
        "Who may sign up, and what users may send and keep",
        rules::ROUTES,
    ),
    family(
        "Audit",
        "What administrators have done, for administrators",
        audit::ROUTES,
    ),
    family("Diagnosis", "Finding out what stands in the way", pace::ROUTES),
    family(
        "Taking along",
        "Export, import, and copies of the database",
        portable::ROUTES,
    ),
    family("Metrics", "The server in figures", metrics::ROUTES),
    family("Search", "Finding what was said and kept", search::ROUTES),
    family(
        "Providers",
        "Who runs the models, for administrators",
        providers::ROUTES,
    ),
    family(
        "Models",
        "Names for models and the default, for administrators",
        models::ROUTES,
    ),
    family("Documentation", "This document, and pages that show it", docs::ROUTES),
    family("Web UI", "Pages and files for browsers", ui::ROUTES),
    family("Beginning", "What a page asks for first", start::ROUTES),
];

const fn family(name: &'static str, about: &'static str, routes: &'static [Route<Ctx>]) -> Family<Ctx> {
    Family { name, about, routes }
}

/// One route, as documentation and tests see it.
#[derive(Clone, Copy, Debug)]
pub struct RouteFacts {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// Who may use it.
    pub auth: Auth,
    /// What it does.
    pub summary: &'static str,
    /// How it may fail, beyond what others like it may. Those that send messages say [`Kind::OverBudget`].
    pub errors: &'static [Kind],
}

/// Every route of every family, in the tables' order.
pub fn routes() -> impl Iterator<Item = RouteFacts> {
    let routes = TABLES.iter().flat_map(|family| family.routes);
    routes.map(|route| RouteFacts {
        method: route.method.as_str(),
        path: route.path,
        auth: route.auth,
        summary: route.summary,
        errors: route.errors,
    })
}

/// What the endpoints of all routes read.
#[cfg(any(test, fuzzing))]
pub(crate) fn specs() -> Vec<crate::http::Spec> {
    let endpoints = TABLES
        .iter()
        .flat_map(|family| family.routes)
        .map(|route| route.endpoint);
    endpoints
        .flat_map(|endpoint| [Some(endpoint), endpoint.for_forms()])
        .flatten()
        .map(|endpoint| endpoint.spec())
        .collect()
}

/// The table of routes for the README.
pub fn markdown() -> String {
    let rows = routes().map(|route| {
        let token = match route.auth {
            Auth::User => "yes",
            Auth::Session => "own",
            Auth::Admin => "admin",
            Auth::Public | Auth::Page => "",
        };
        format!("| `{} {}` | {token} | {} |\n", route.method, route.path, route.summary)
    });
    std::iter::once("| route | token | what it does |\n|---|---|---|\n".to_owned())
        .chain(rows)
        .collect()
}

/// The OpenAPI document of all routes.
pub fn openapi() -> String {
    docs::text()
}

/// What a handler reaches: the application, the request, and who makes it.
struct Ctx {
    app: Arc<App>,
    assets: Arc<Assets>,
    request: Request,
    caller: Option<Caller>,
}

impl Ctx {
    /// Who is signed in. Routes for users always have one.
    fn caller(&self) -> Result<&Caller, Error> {
        self.caller.as_ref().ok_or_else(session::not_authenticated)
    }

    fn user(&self) -> Result<&User, Error> {
        self.caller().map(|caller| &caller.user)
    }

    /// Looks whether the caller may send a message now, through whichever door. The turn that it begins counts it.
    ///
    /// # Errors
    /// [`Kind::OverBudget`], [`Kind::RateLimited`].
    fn admit_message(&self) -> Result<Admission, Error> {
        let caller = self.caller()?;
        let (api_key, user, now) = (caller.api_key(), &caller.user, self.app.clock.now());
        let allowance = self.app.policy.allowance(user.limits);
        self.app.store.read(|read| {
            if let Some(api_key) = api_key {
                store::check_budget(read, api_key, &now.month_text())?;
            }
            store::check_allowance(read, user.id, allowance, now)
        })?;
        self.app.count_message(&self.request, user.id)?;
        Ok(Admission { api_key, allowance })
    }

    fn now(&self) -> String {
        self.app.clock.now().text()
    }

    fn client_address(&self) -> IpAddr {
        self.app.client_address(&self.request)
    }
}

/// The application as the engine sees it.
pub struct Service {
    app: Arc<App>,
    assets: Arc<Assets>,
    router: Router<Ctx>,
}

impl Service {
    /// All routes, over an application with these settings.
    ///
    /// # Errors
    /// Those of [`App::open`].
    pub fn open(settings: Settings) -> Result<Service, Error> {
        let prepare = |settings: &Settings| {
            (
                Assets::new(settings.assets.clone()),
                Router::new(TABLES, settings.sizes()),
            )
        };
        let (app, (assets, router)) = App::open(settings, prepare)?;
        Ok(Service {
            app: Arc::new(app),
            assets: Arc::new(assets),
            router,
        })
    }

    /// What its handlers may reach.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }
}

impl Service {
    /// Whether a request, or the one that a preflight announces, is for what only our own pages may use.
    fn is_for_own_pages(&self, request: &Request) -> bool {
        let announced = request.header("Access-Control-Request-Method");
        let announced = announced.and_then(|name| name.parse::<Method>().ok());
        let method = match (request.method(), &announced) {
            (Method::Options, Some(announced)) => announced,
            (method, _) => method,
        };
        let call = self.router.find_for(request, method);
        call.is_ok_and(|call| call.auth() == Auth::Page)
    }
}

impl Service {
    /// How much of a body with files is received: no more than its sender has room for.
    fn room_for_files(&self, request: &Request, user: &User, bytes_max: u64) -> Result<u64, Error> {
        // A chunked one does not say how large it is: it is cut short where there is no more room.
        let declared = request.header("Content-Length").and_then(|length| length.parse().ok());
        let declared: u64 = declared.unwrap_or(0);
        if declared > bytes_max {
            // Nobody may send as much, whatever room there is.
            return Ok(bytes_max);
        }
        let files_min = declared.saturating_sub(FORM_BYTES_MAX);
        let size = i64::try_from(files_min).unwrap_or(i64::MAX);
        let quota = self.app.policy.upload_quota_bytes(user.limits);
        let left = self
            .app
            .store
            .read(|read| store::check_quota(read, user.id, size, quota))?;
        Ok(bytes_max.min(files_min + left + FORM_BYTES_MAX))
    }
}

impl Handler for Service {
    fn handle(&self, request: Request, respond: Responder) {
        if let Some(reply) = self.sharing(&request).answer_preflight(&request) {
            return respond.send(reply);
        }
        if let Err(error) = self.app.origins.check(&request) {
            return respond.send_result(Err(error));
        }
        let base = &self.app.settings.base_path;
        if !base.is_empty() && request.path() == base {
            // Pages name their files by ways from where they are: without the slash those would begin one folder too high.
            return respond.send(Reply::empty(308).header("Location", &format!("{base}/")));
        }
        match self.router.find(&request) {
            Err(reply) if openai::is_ours(&request) => respond.send(openai::say_unknown(&request, reply)),
            Err(reply) => respond.send(reply),
            Ok(call) => call.answer(request, respond, |request, auth| {
                let caller = session::find_caller(&self.app, &request, auth)?;
                Ok(Ctx {
                    app: Arc::clone(&self.app),
                    assets: Arc::clone(&self.assets),
                    request,
                    caller,
                })
            }),
        }
    }

    fn answers_at_once(&self, request: &Request) -> bool {
        self.router.answers_at_once(request)
    }

    fn admit(&self, request: &Request) -> Result<u64, Error> {
        self.app.origins.check(request)?;
        // What no route takes is refused before anybody looks who sends it.
        let not_found = |_: Reply| Error::new(Kind::NotFound, "Not Found");
        let call = self.router.find(request).map_err(not_found)?;
        let caller = session::find_caller(&self.app, request, call.auth())?;
        let bytes_max = call.body_bytes_max(request);
        match caller {
            // Nobody needs as much to sign in, and strangers must not keep the receivers busy.
            _ if !call.auth().needs_token() => Ok(0),
            Some(caller) if call.keeps_files(request) => self.room_for_files(request, &caller.user, bytes_max),
            _ => Ok(bytes_max),
        }
    }

    fn knows_host(&self, host: &str) -> bool {
        self.app.origins.knows_host(host)
    }

    fn sharing(&self, request: &Request) -> Sharing {
        match self.app.origins.sharing(request) {
            Sharing::With(_) if self.is_for_own_pages(request) => Sharing::Nobody,
            sharing => sharing,
        }
    }

    fn wording(&self, request: &Request) -> Wording {
        if openai::is_ours(request) {
            openai::say
        } else {
            Reply::error
        }
    }

    fn hurry(&self) {
        self.app.turns.stop_all();
    }

    fn patrol(&self) {
        sockets::patrol(&self.app);
    }
}

/// An id on the wire: an integer, a numeric string or a UUID. The schema says integer: that is what surfaces with
/// integer ids emit.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum AnyId {
    Number(i64),
    Text(String),
}

impl JsonSchema for AnyId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "format": "id" })
    }
}

impl AnyId {
    fn parse(&self) -> Option<Ref> {
        match self {
            AnyId::Number(id) => Some(Ref::Id(*id)),
            AnyId::Text(text) => parse_id(text),
        }
    }
}

/// Reads either kind of id; `None` when the text can be neither.
fn parse_id(text: &str) -> Option<Ref> {
    if let Ok(id) = text.parse() {
        return Some(Ref::Id(id));
    }
    let uuid = uuid::Uuid::try_parse(text).ok()?;
    Some(Ref::Uuid(uuid.hyphenated().to_string()))
}

/// The answer to a model name that nothing serves.
fn unknown_model(requested: &str) -> Error {
    let expected = "'fast', 'balanced' or 'smart'";
    Error::invalid(vec![Issue {
        rule: "enum".into(),
        loc: vec!["body".into(), "model".into()],
        msg: format!("Input should be {expected}").into(),
        input: Value::from(requested),
        ctx: Some(json!({ "expected": expected })),
    }])
}

/// A failed turn as an error. When the question is kept it is a 503 in the same words for every family.
fn fault(fault: Fault, requested: Option<&str>) -> Error {
    match fault {
        Fault::Store(error) => error,
        Fault::Kept(error) => {
            // Nor does it say when to try again.
            Error::new(Kind::Unavailable, KEPT).caused_by(error)
        }
        Fault::Model(failure) => {
            if let (FailureKind::UnknownModel, Some(requested)) = (failure.kind, requested) {
                return unknown_model(requested);
            }
            let message = format!("Failed to get AI response: {}", failure.message);
            let error = Error::new(Kind::Unavailable, message).caused_by(failure.message);
            match failure.retry_after_s {
                Some(seconds) => error.retry_after(seconds),
                None => error,
            }
        }
    }
}

/// Not the store's own sentence, which may say that nothing was stored.
const KEPT: &str = "Failed to get AI response: the server's store is in trouble. Your message is stored";

/// A failed turn where there is no status to say it with: the same sentence, and a word for programs.
fn fault_words(fault: &Fault) -> (String, &'static str) {
    match fault {
        Fault::Store(error) if error.kind() == Kind::Internal => {
            ("Internal Server Error".to_owned(), error.kind().name())
        }
        Fault::Store(error) => (error.message().to_owned(), error.kind().name()),
        Fault::Kept(_) => (KEPT.to_owned(), Kind::Unavailable.name()),
        Fault::Model(failure) => {
            let words = format!("Failed to get AI response: {}", failure.message);
            (words, failure.kind.name())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever is told that nothing is stored, or when to try again, sends the message again.
    #[test]
    fn a_message_that_is_kept_is_not_asked_for_again() {
        for kind in [Kind::StorageFull, Kind::Unavailable, Kind::NotFound, Kind::Internal] {
            let error = Error::new(kind, "Nothing was stored; try again").retry_after(5);
            let said = fault(Fault::Kept(error), None);
            assert_eq!((said.kind(), said.retry_after_s()), (Kind::Unavailable, None));
            assert!(said.message().starts_with("Failed to get AI response: "), "{said}");
            assert!(said.message().ends_with("Your message is stored"), "{said}");
        }
    }
}
