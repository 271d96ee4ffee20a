//! The server about itself: `/`, `/health`, `/api/version`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::providers::{Runner, runners};
use super::{Ctx, session, ui};
use crate::backups::Progress;
use crate::error::Error;
use crate::http::{Auth, Either, Html, Json, MaybeQuery, Raw, Reply, Route, Typed, get};
use crate::store::{self, Admin};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/",
        Auth::Public,
        "The web UI for browsers, a greeting for programs",
        &Raw(root),
    ),
    get("/health", Auth::Public, "Whether the server works", &Raw(health)).at_once(),
    get(
        "/api/version",
        Auth::Public,
        "Version, and whether visitors may sign up",
        &Json(version),
    ),
];

#[derive(Serialize, JsonSchema)]
struct Greeting {
    message: &'static str,
    version: &'static str,
    docs: &'static str,
}

fn root(ctx: &Ctx, (): ()) -> Result<Either<Typed<Greeting>, Html>, Error> {
    if ctx
        .request
        .header("Accept")
        .is_some_and(|accept| accept.contains("text/html"))
    {
        return ui::shell(ctx, ()).map(Either::That);
    }
    let greeting = Greeting {
        message: "Fireside",
        version: env!("CARGO_PKG_VERSION"),
        docs: "/docs",
    };
    // The same address is a page for browsers: what is kept of one must not serve the other.
    let greeting = Typed::json(&greeting)?;
    Ok(Either::This(greeting.map(|reply| reply.header("Vary", "Accept"))))
}

#[derive(Serialize, JsonSchema)]
struct Health {
    #[schemars(extend("enum" = ["healthy", "failing"]))]
    status: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    parts: Option<Parts>,
}

/// How the parts of the server are, for those who are signed in.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Parts {
    store: StoreHealth,
    turns: TurnsHealth,
    providers: Vec<Runner>,
    /// Copies of the database that the server makes by itself; null: it makes none.
    backups: Option<BackupsHealth>,
}

#[derive(Serialize, JsonSchema)]
struct BackupsHealth {
    /// The newest whole copy (RFC 3339).
    last_at: Option<String>,
    /// Its bytes.
    last_bytes: Option<u64>,
    /// When the next is due (RFC 3339); null: it is being made.
    next_at: Option<String>,
    /// Why the last attempt failed.
    problem: Option<String>,
}

impl From<Progress> for BackupsHealth {
    fn from(progress: Progress) -> BackupsHealth {
        BackupsHealth {
            last_at: progress.last_at,
            last_bytes: progress.last_bytes,
            next_at: progress.next_at,
            problem: progress.problem,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct StoreHealth {
    #[schemars(extend("enum" = ["healthy", "failing"]))]
    state: &'static str,
    /// Why it fails.
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct TurnsHealth {
    /// Replies that are being written.
    running: usize,
    /// How many there may be.
    max: usize,
}

#[derive(Deserialize, JsonSchema)]
struct AskHealth {
    /// With it, whoever is signed in is told of the store, the replies being written, the providers of models, and the copies.
    #[serde(default)]
    verbose: Option<String>,
}

/// Supervisors ask this often: nothing is looked up unless somebody asks for it.
fn health(ctx: &Ctx, MaybeQuery(query): MaybeQuery<AskHealth>) -> Result<Typed<Health>, Error> {
    let detail = ctx.app.store.trouble();
    let (code, status) = if detail.is_none() {
        (200, "healthy")
    } else {
        (503, "failing")
    };
    let is_verbose = query
        .and_then(|query| query.verbose)
        .is_some_and(|word| !["0", "false"].contains(&word.as_str()));
    let parts = (is_verbose && session::is_signed_in(&ctx.app, &ctx.request)).then(|| Parts {
        store: StoreHealth {
            state: status,
            reason: detail.clone(),
        },
        turns: TurnsHealth {
            running: ctx.app.turns.running(),
            max: ctx.app.settings.max_turns,
        },
        providers: runners(&ctx.app),
        backups: ctx.app.scheduled.as_ref().map(|backups| backups.progress().into()),
    });
    let health = Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        detail,
        parts,
    };
    // Failing, it has the form of an error and more.
    Reply::json(code, &health).map(Typed::made)
}

#[derive(Serialize, JsonSchema)]
struct Version {
    name: &'static str,
    version: &'static str,
    #[schemars(extend("enum" = ["setup", "first", "open", "closed"]))]
    signup: &'static str,
}

fn version(ctx: &Ctx, (): ()) -> Result<Version, Error> {
    let signup = match ctx.app.signup(&ctx.request) {
        _ if ctx.app.has_setup_code() => "setup",
        Some(Admin::IfFirst) if ctx.app.store.read(store::count_users)? == 0 => "first",
        Some(_) => "open",
        None => "closed",
    };
    Ok(Version {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        signup,
    })
}
