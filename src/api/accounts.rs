//! Accounts: making them, signing in and out, and the web UI's session. Shared by every family.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sign_in::{Claim, PASSWORD_BYTES_MAX, Visit, answer_later};
use super::views::{self, UserView};
use super::{Ctx, session, sockets};
use crate::app::App;
use crate::auth::Hashing;
use crate::error::{Error, Issue, Kind};
use crate::http::{
    Auth, Body, Deferred, Empty, Form, Json, Later, NoContent, Path, Query, Raw, Reply, Route, Typed, delete, get,
    patch, post,
};
use crate::limits::{NAME_CHARS_MAX, PROMPT_CHARS_MAX};
use crate::store::{self, Act, Admin, Means, NewUser, Subject, User, UserPatch};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    post("/auth/register", Auth::Public, "Make an account", &Deferred(register))
        .fails(&[Kind::Conflict, Kind::RateLimited]),
    post("/auth/login", Auth::Public, "Sign in with JSON", &Deferred(login)).fails(SIGN_IN),
    post(
        "/auth/token",
        Auth::Public,
        "Sign in with a form (OAuth2 password flow)",
        &Deferred(token),
    )
    .fails(SIGN_IN),
    post(
        "/token",
        Auth::Public,
        "Sign in with a form (OAuth2 password flow)",
        &Deferred(token),
    )
    .fails(SIGN_IN),
    post(
        "/auth/session",
        Auth::Page,
        "Sign in with a cookie (the web UI)",
        &Deferred(begin_session),
    )
    .fails(SIGN_IN),
    delete(
        "/auth/session",
        Auth::Page,
        "Sign out and take the cookie away",
        &Raw(end_session),
    ),
    post("/auth/logout", Auth::Session, "End this token's session", &Json(logout)),
    post(
        "/users/",
        Auth::Public,
        "Make an account with a user name",
        &Deferred(create_user),
    ),
    get("/users/me", Auth::User, "The caller's account", &Raw(me)),
    get("/auth/me", Auth::User, "The caller's account", &Raw(me)),
    patch(
        "/users/me",
        Auth::User,
        "Change the caller's account",
        &Deferred(update_me),
    )
    .fails(&[Kind::Conflict, Kind::RateLimited]),
    get(
        "/sessions",
        Auth::User,
        "List the caller's sessions",
        &Json(list_sessions),
    ),
    delete(
        "/sessions/{session_id}",
        Auth::Session,
        "End one of the caller's sessions",
        &NoContent(end_one_session),
    ),
];

/// How signing in fails.
const SIGN_IN: &[Kind] = &[Kind::Unauthenticated, Kind::RateLimited];

#[derive(Deserialize, JsonSchema)]
struct Register {
    #[schemars(email)]
    email: String,
    #[schemars(length(min = 1, max = 1024), extend("format" = "password"))]
    password: String,
    #[serde(default)]
    #[schemars(length(max = NAME_CHARS_MAX))]
    display_name: Option<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 64), extend("not" = { "pattern": NO_USERNAME }))]
    username: Option<String>,
    /// The one-time code that makes the first account off loopback.
    #[serde(default)]
    #[schemars(extend("format" = "password"))]
    setup_code: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct RegisterQuery {
    /// True: sign in with a cookie instead of a token.
    #[serde(default)]
    session: bool,
}

#[derive(Serialize, JsonSchema)]
struct Registered<'a> {
    #[serde(flatten)]
    user: UserView<'a>,
    /// Not with `session`: there it is in the cookie, out of JavaScript's reach.
    #[serde(flatten)]
    token: Option<Token>,
}

type Made = Later<Typed<Registered<'static>, 201>>;

fn register(ctx: &Ctx, (Query(query), Body(body)): (Query<RegisterQuery>, Body<Register>), respond: Made) {
    let allowed = if query.session {
        session::require_own_page(&ctx.app, &ctx.request)
    } else {
        Ok(())
    };
    let account = allowed.and_then(|()| NewAccount::new(ctx, body));
    answer_later(ctx, account, respond, move |account, hashing| {
        let user = account.make(hashing)?;
        let token = account.visit.open_session(&user)?;
        let user = views::user(&user);
        if query.session {
            let registered = Typed::json(&Registered { user, token: None })?;
            return Ok(registered.map(|reply| session::with_cookie(&account.visit.app, reply, &token)));
        }
        let token = Some(Token::bearer(token));
        Typed::json(&Registered { user, token })
    });
}

#[derive(Deserialize, JsonSchema)]
struct CreateUser {
    #[schemars(length(min = 1, max = 64), extend("not" = { "pattern": NO_USERNAME }))]
    username: String,
    #[schemars(email)]
    email: String,
    #[schemars(length(min = 1, max = 1024), extend("format" = "password"))]
    password: String,
}

/// As `register`, in this family's words: 200 instead of 201, 400 instead of 409.
fn create_user(ctx: &Ctx, Body(body): Body<CreateUser>, respond: Later<Typed<UserView<'static>>>) {
    let register = Register {
        email: body.email,
        password: body.password,
        display_name: None,
        username: Some(body.username),
        setup_code: None,
    };
    answer_later(ctx, NewAccount::new(ctx, register), respond, |account, hashing| {
        let user = account.make(hashing).map_err(|error| match error.kind() {
            Kind::Conflict => Error::new(Kind::Malformed, error.message().to_owned()),
            _ => error,
        })?;
        Typed::json(&views::user(&user))
    });
}

/// What failures to guess the setup code are counted under.
const SETUP: &str = "setup";

/// An account that its visitor may make: where sign-up is open, or with the setup code.
struct NewAccount {
    visit: Visit,
    body: Register,
    /// `None`: the setup code decides.
    admin: Option<Admin>,
}

impl NewAccount {
    /// Strangers who may not are turned away here, before they take anybody's place at the hash threads.
    fn new(ctx: &Ctx, body: Register) -> Result<NewAccount, Error> {
        check_password(&body.password)?;
        if let Some(username) = &body.username {
            check_username(username)?;
        }
        let visit = Visit::new(ctx);
        let admin = match (&body.setup_code, ctx.app.signup(&ctx.request)) {
            (Some(_), _) => {
                visit.check_failures(SETUP)?;
                None
            }
            (None, Some(admin)) => Some(admin),
            (None, None) => return Err(Error::new(Kind::Forbidden, "Registration is closed")),
        };
        Ok(NewAccount { visit, body, admin })
    }

    fn make(&self, hashing: &Hashing) -> Result<User, Error> {
        if let Some(admin) = self.admin {
            return self.insert(admin, hashing);
        }
        // Again, because others have tried meanwhile.
        self.visit.check_failures(SETUP)?;
        let code = self.body.setup_code.as_deref().unwrap_or_default();
        let app = &self.visit.app;
        let made = app.with_setup_code(code, || self.insert(Admin::Yes, hashing));
        if matches!(&made, Err(error) if error.kind() == Kind::Forbidden) {
            self.visit.count_failure(SETUP);
        }
        made
    }

    fn insert(&self, admin: Admin, hashing: &Hashing) -> Result<User, Error> {
        let app = &self.visit.app;
        let new = NewUser {
            uuid: app.clock.uuid(),
            external_id: None,
            username: self.body.username.clone(),
            email: Some(self.body.email.clone()),
            display_name: self.body.display_name.clone(),
            password_hash: Some(hashing.hash(&self.body.password)?),
            admin,
            created_at: app.clock.now().text(),
        };
        let code = self.body.setup_code.as_deref();
        let means = match code.is_some_and(|code| app.run_secret.is(code)) {
            true => Means::CommandLine,
            false => Means::Setup,
        };
        let visit = self.visit.clone();
        app.store.write(move |tx| {
            let user = store::insert_user(tx, &new)?;
            if user.admin == Admin::Yes {
                let changes = store::differences(&Value::Null, &json!({ "role": "admin" }));
                let maker = visit.maker(&user, means);
                store::insert_entry(tx, &maker, Act::UserCreate, &Subject::user(&user), changes)?;
            }
            Ok(user)
        })
    }
}

pub(super) fn problem(
    rule: &'static str,
    field: &'static str,
    msg: &'static str,
    input: Value,
    ctx: Option<Value>,
) -> Error {
    Error::invalid(vec![Issue {
        rule: rule.into(),
        loc: vec!["body".into(), field.into()],
        msg: msg.into(),
        input,
        ctx,
    }])
}

/// The schema counts characters; the limit is about bytes.
pub(super) fn check_password(password: &str) -> Result<(), Error> {
    if password.len() <= PASSWORD_BYTES_MAX {
        return Ok(());
    }
    let ctx = json!({ "max_length": PASSWORD_BYTES_MAX });
    Err(problem(
        "string_too_long",
        "password",
        "String should have at most 1024 bytes",
        Value::Null,
        Some(ctx),
    ))
}

/// What [`check_username`] refuses, for the documentation.
pub(super) const NO_USERNAME: &str = r"@|^\s|\s$|[\x00-\x1f\x7f-\x9f]";

/// With an `@` a user name could be taken for somebody's e-mail address.
pub(super) fn check_username(username: &str) -> Result<(), Error> {
    let is_fine = !username.contains('@') && username.trim() == username && !username.chars().any(char::is_control);
    if is_fine {
        return Ok(());
    }
    let msg = "Value error, a user name has no @ and no spaces around it";
    Err(problem(
        "value_error",
        "username",
        msg,
        username.into(),
        Some(json!({ "error": {} })),
    ))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(extend("anyOf" = named_by(&["email", "username"])))]
struct Login {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[schemars(extend("format" = "password"))]
    password: String,
}

/// For the documentation: one of these fields is there.
fn named_by(fields: &[&str]) -> Vec<Value> {
    let one = |name: &&str| json!({ "required": [name], "properties": { *name: { "type": "string" } } });
    fields.iter().map(one).collect()
}

#[derive(Serialize, JsonSchema)]
struct Token {
    access_token: String,
    token_type: &'static str,
}

impl Token {
    fn bearer(access_token: String) -> Token {
        Token {
            access_token,
            token_type: "bearer",
        }
    }
}

fn login(ctx: &Ctx, Body(body): Body<Login>, respond: Later<Typed<Token>>) {
    answer_later(ctx, claim(ctx, body), respond, bearer);
}

/// Signs in with a token.
fn bearer(claim: Claim, hashing: &Hashing) -> Result<Typed<Token>, Error> {
    let user = claim.verify(hashing)?;
    Typed::json(&Token::bearer(claim.visit.open_session(&user)?))
}

fn claim(ctx: &Ctx, body: Login) -> Result<Claim, Error> {
    match body.email.or(body.username) {
        Some(login) => Claim::new(ctx, &login, body.password),
        None => {
            // The password is not shown again, not even to the one who sent it.
            Err(problem("missing", "email", "Field required", json!({}), None))
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct PasswordForm {
    #[serde(default)]
    #[schemars(regex(pattern = r"^password$"))]
    #[serde(rename = "grant_type")]
    _grant_type: Option<String>,
    #[schemars(length(min = 1))]
    username: String,
    #[schemars(length(min = 1), extend("format" = "password"))]
    password: String,
}

fn token(ctx: &Ctx, Form(form): Form<PasswordForm>, respond: Later<Typed<Token>>) {
    answer_later(ctx, Claim::new(ctx, &form.username, form.password), respond, bearer);
}

fn begin_session(ctx: &Ctx, Body(body): Body<Login>, respond: Later<Empty>) {
    answer_later(ctx, claim(ctx, body), respond, |claim, hashing| {
        let user = claim.verify(hashing)?;
        let token = claim.visit.open_session(&user)?;
        Ok(Empty(session::with_cookie(&claim.visit.app, Reply::empty(204), &token)))
    });
}

/// Public, because the cookie must go also when its session has ended already.
fn end_session(ctx: &Ctx, (): ()) -> Result<Empty, Error> {
    if let Some(token) = session::token(&ctx.app, &ctx.request) {
        match session::identify(&ctx.app, token) {
            Ok(caller) => session::end(&ctx.app, &caller)?,
            Err(error) if error.kind() == Kind::Unauthenticated => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Empty(session::without_cookie(&ctx.app, Reply::empty(204))))
}

#[derive(Serialize, JsonSchema)]
struct LoggedOut {
    detail: &'static str,
}

fn logout(ctx: &Ctx, (): ()) -> Result<LoggedOut, Error> {
    session::end(&ctx.app, ctx.caller()?)?;
    Ok(LoggedOut { detail: "Logged out" })
}

/// The caller's account, as only they see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Me")]
struct MeView<'a> {
    #[serde(flatten)]
    user: UserView<'a>,
    /// What models are told before every conversation that has no prompt of its own.
    system_prompt: Option<&'a str>,
}

fn view_me(user: &User) -> Result<Typed<MeView<'static>>, Error> {
    Typed::json(&MeView {
        user: views::user(user),
        system_prompt: user.system_prompt.as_deref(),
    })
}

fn me(ctx: &Ctx, (): ()) -> Result<Typed<MeView<'static>>, Error> {
    view_me(ctx.user()?)
}

#[derive(Deserialize, JsonSchema)]
struct UpdateMe {
    #[serde(default)]
    #[schemars(length(max = NAME_CHARS_MAX))]
    display_name: Option<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 64), extend("not" = { "pattern": NO_USERNAME }))]
    username: Option<String>,
    #[serde(default)]
    #[schemars(email)]
    email: Option<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024), extend("format" = "password"))]
    password: Option<String>,
    #[serde(default)]
    #[schemars(extend("format" = "password"))]
    current_password: Option<String>,
    #[serde(default)]
    #[schemars(length(max = PROMPT_CHARS_MAX))]
    system_prompt: Option<String>,
}

fn update_me(ctx: &Ctx, Body(body): Body<UpdateMe>, respond: Later<Typed<MeView<'static>>>) {
    match Change::new(ctx, body) {
        Ok(change) if change.claim.is_none() => respond.send(change.store()),
        change => answer_later(ctx, change, respond, Change::prove),
    }
}

/// What a user changes about their account.
struct Change {
    app: Arc<App>,
    user_id: i64,
    /// The session that goes on when the others end.
    kept: Option<String>,
    /// A stolen session must not be enough to take the account; nor may it be used to guess the password.
    claim: Option<Claim>,
    password: Option<String>,
    patch: UserPatch,
}

impl Change {
    fn new(ctx: &Ctx, body: UpdateMe) -> Result<Change, Error> {
        let caller = ctx.caller()?;
        if let Some(username) = &body.username {
            check_username(username)?;
        }
        if let Some(password) = &body.password {
            check_password(password)?;
        }
        let claim = if body.password.is_some() || body.email.is_some() {
            session::require_own(caller)?;
            let missing = || problem("missing", "current_password", "Field required", json!({}), None);
            let current = body.current_password.ok_or_else(missing)?;
            let login = caller.user.email.as_deref().ok_or_else(wrong_password)?;
            Some(Claim::new(ctx, login, current)?)
        } else {
            None
        };
        Ok(Change {
            app: Arc::clone(&ctx.app),
            user_id: caller.user.id,
            kept: caller.session_id().map(str::to_owned),
            claim,
            password: body.password,
            patch: UserPatch {
                display_name: body.display_name,
                username: body.username,
                email: body.email,
                password_hash: None,
                system_prompt: body.system_prompt,
            },
        })
    }

    fn prove(mut self, hashing: &Hashing) -> Result<Typed<MeView<'static>>, Error> {
        if let Some(claim) = &self.claim {
            claim.verify(hashing).map_err(|error| match error.kind() {
                Kind::Unauthenticated => wrong_password(),
                _ => error,
            })?;
        }
        let password = self.password.as_deref();
        self.patch.password_hash = password.map(|password| hashing.hash(password)).transpose()?;
        self.store()
    }

    fn store(self) -> Result<Typed<MeView<'static>>, Error> {
        let (user_id, patch, kept) = (self.user_id, self.patch, self.kept);
        let is_new_password = patch.password_hash.is_some();
        let user = self.app.store.write(move |tx| {
            let user = store::update_user(tx, user_id, &patch)?;
            if is_new_password {
                store::end_other_sessions(tx, &user, kept.as_deref())?;
                // Whoever was in the account could have made one to come back with.
                store::delete_api_keys(tx, user_id)?;
            }
            Ok(user)
        })?;
        if is_new_password {
            sockets::recheck(&self.app, user_id);
        }
        view_me(&user)
    }
}

fn wrong_password() -> Error {
    Error::new(Kind::Forbidden, "The current password is wrong")
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
struct SessionView {
    id: String,
    user_agent: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    #[schemars(extend("format" = "date-time"))]
    expires_at: String,
    is_current: bool,
}

fn list_sessions(ctx: &Ctx, (): ()) -> Result<Vec<SessionView>, Error> {
    let caller = ctx.caller()?;
    let now = ctx.now();
    let sessions = ctx
        .app
        .store
        .read(|read| store::list_sessions(read, &caller.user, &now))?;
    let view = |session: store::Session| SessionView {
        is_current: caller.session_id() == Some(&session.id),
        id: session.id,
        user_agent: session.user_agent,
        created_at: session.created_at,
        expires_at: session.expires_at,
    };
    Ok(sessions.into_iter().map(view).collect())
}

#[derive(Deserialize, JsonSchema)]
struct SessionPath {
    session_id: String,
}

fn end_one_session(ctx: &Ctx, Path(path): Path<SessionPath>) -> Result<(), Error> {
    let user_id = ctx.user()?.id;
    let ended = ctx
        .app
        .store
        .write(move |tx| store::delete_session(tx, user_id, &path.session_id))?;
    if ended {
        sockets::recheck(&ctx.app, user_id);
        Ok(())
    } else {
        Err(Error::new(Kind::NotFound, "Session not found"))
    }
}
