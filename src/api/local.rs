//! The door of the machine's owner: whoever can read the data folder knows the secret of this run, which stands in the
//! lock file, and needs no password. The command line comes in here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sign_in::Visit;
use super::views::{self, UserView};
use super::{Ctx, session};
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Raw, Route, Typed, post};
use crate::store::{self, Act, Doer, Means, Read, Subject, Tx, User};

pub(super) const ROUTES: &[Route<Ctx>] = &[post(
    "/auth/local",
    Auth::Public,
    "Sign in with the secret of this run, which stands in the data folder's lock file (the command line)",
    &Raw(sign_in),
)
.fails(&[
    Kind::Unauthenticated,
    Kind::Forbidden,
    Kind::NotFound,
    Kind::Conflict,
    Kind::RateLimited,
])];

/// What wrong secrets are counted under.
const LOCAL: &str = "local";

/// How its sessions are listed.
const AGENT: &str = "command line";

#[derive(Deserialize, JsonSchema)]
struct SignIn {
    #[schemars(extend("format" = "password"))]
    secret: String,
    /// E-mail address, user name or foreign id; without it the first administrator, or the only account.
    #[serde(default)]
    account: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SignedInLocally")]
struct SignedIn<'a> {
    #[serde(flatten)]
    user: UserView<'a>,
    access_token: String,
    token_type: &'static str,
}

fn sign_in(ctx: &Ctx, Body(body): Body<SignIn>) -> Result<Typed<SignedIn<'static>>, Error> {
    // The right secret always opens: nobody guesses 256 bits, and whoever tries must not shut the owner out.
    if !ctx.app.run_secret.is(&body.secret) {
        let visit = Visit::new(ctx);
        visit.check_failures(LOCAL)?;
        visit.count_failure(LOCAL);
        return Err(session::refused());
    }
    let account = body.account.as_deref();
    let user = ctx.app.store.read(|read| find(read, account))?;
    if user.disabled {
        let message = "This account is disabled; enable it with fireside user enable";
        return Err(Error::new(Kind::Forbidden, message));
    }
    if account.is_some() {
        let (doer, subject) = (Doer::owner(ctx.now()), Subject::user(&user));
        let note = move |tx: &Tx<'_>| store::insert_entry(tx, &doer, Act::UserActFor, &subject, Vec::new());
        ctx.app.store.write(note)?;
    }
    let access_token = session::open(&ctx.app, Means::CommandLine, Some(AGENT.to_owned()), &user)?;
    Typed::json(&SignedIn {
        user: views::user(&user),
        access_token,
        token_type: "bearer",
    })
}

fn find(read: &Read<'_>, account: Option<&str>) -> Result<User, Error> {
    let Some(name) = account else {
        return store::find_account_of_owner(read);
    };
    let local = store::find_user_by_login(read, name)?.map(|(user, _)| user);
    let found = match local {
        Some(user) => Some(user),
        None => store::find_user_by_external_id(read, name)?,
    };
    found.ok_or_else(|| {
        let message = format!("There is no account {name:?}; fireside user list shows them");
        Error::new(Kind::NotFound, message)
    })
}
