//! Accounts: making them, signing in and out, and the web UI's session. Shared by every family.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Ctx;
use super::views::{self, UserView};
use super::{session, sockets};
use crate::error::{Error, Issue, Kind};
use crate::http::{Auth, Body, Form, Json, NoContent, Path, Query, Raw, Reply, Route, delete, get, patch, post};
use crate::store::{self, Admin, NewUser, User, UserPatch};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    post("/auth/register", Auth::Public, "Make an account", &Raw(register)),
    post("/auth/login", Auth::Public, "Sign in with JSON", &Json(login)),
    post(
        "/auth/token",
        Auth::Public,
        "Sign in with a form (OAuth2 password flow)",
        &Json(token),
    ),
    post(
        "/token",
        Auth::Public,
        "Sign in with a form (OAuth2 password flow)",
        &Json(token),
    ),
    post(
        "/auth/session",
        Auth::Public,
        "Sign in with a cookie (the web UI)",
        &Raw(begin_session),
    ),
    delete(
        "/auth/session",
        Auth::Public,
        "Sign out and take the cookie away",
        &Raw(end_session),
    ),
    post("/auth/logout", Auth::User, "End this token's session", &Json(logout)),
    post(
        "/users/",
        Auth::Public,
        "Make an account with a user name",
        &Raw(create_user),
    ),
    get("/users/me", Auth::User, "The caller's account", &Raw(me)),
    get("/auth/me", Auth::User, "The caller's account", &Raw(me)),
    patch("/users/me", Auth::User, "Change the caller's account", &Raw(update_me)),
    get(
        "/sessions",
        Auth::User,
        "List the caller's sessions",
        &Json(list_sessions),
    ),
    delete(
        "/sessions/{session_id}",
        Auth::User,
        "End one of the caller's sessions",
        &NoContent(end_one_session),
    ),
];

/// Bytes of a password. argon2 takes any number; a limit keeps hashing time independent of it.
const PASSWORD_BYTES_MAX: usize = 1024;

#[derive(Deserialize, JsonSchema)]
struct Register {
    #[schemars(email)]
    email: String,
    #[schemars(length(min = 1, max = 1024))]
    password: String,
    #[serde(default)]
    #[schemars(length(max = 200))]
    display_name: Option<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    username: Option<String>,
    /// The one-time code that makes the first account off loopback.
    #[serde(default)]
    setup_code: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct RegisterQuery {
    /// True: sign in with a cookie instead of a token.
    #[serde(default)]
    session: bool,
}

#[derive(Serialize)]
struct Registered<'a> {
    #[serde(flatten)]
    user: UserView<'a>,
    access_token: &'a str,
    token_type: &'static str,
}

fn register(ctx: &Ctx, (Query(query), Body(body)): (Query<RegisterQuery>, Body<Register>)) -> Result<Reply, Error> {
    let code = body.setup_code.clone();
    let user = make_account(ctx, body, code.as_deref())?;
    let token = session::open(&ctx.app, &ctx.request, &user)?;
    if query.session {
        return Ok(session::with_cookie(
            &ctx.app,
            Reply::json(201, &views::user(&user))?,
            &token,
        ));
    }
    let registered = Registered {
        user: views::user(&user),
        access_token: &token,
        token_type: "bearer",
    };
    Reply::json(201, &registered)
}

#[derive(Deserialize, JsonSchema)]
struct CreateUser {
    #[schemars(length(min = 1, max = 64))]
    username: String,
    #[schemars(email)]
    email: String,
    #[schemars(length(min = 1, max = 1024))]
    password: String,
}

/// As `register`, in this family's words: 200 instead of 201, 400 instead of 409.
fn create_user(ctx: &Ctx, Body(body): Body<CreateUser>) -> Result<Reply, Error> {
    let register = Register {
        email: body.email,
        password: body.password,
        display_name: None,
        username: Some(body.username),
        setup_code: None,
    };
    let user = make_account(ctx, register, None).map_err(|error| match error.kind() {
        Kind::Conflict => Error::new(Kind::Malformed, error.message().to_owned()),
        _ => error,
    })?;
    Reply::json(200, &views::user(&user))
}

/// Makes an account if the caller may: where sign-up is open, or with the setup code.
fn make_account(ctx: &Ctx, body: Register, setup_code: Option<&str>) -> Result<User, Error> {
    check_password(&body.password)?;
    if let Some(username) = &body.username {
        check_username(username)?;
    }
    let policy = ctx.app.signup(&ctx.request);
    let insert = |admin: Admin| {
        let new = NewUser {
            uuid: ctx.app.clock.uuid(),
            external_id: None,
            username: body.username.clone(),
            email: Some(body.email.clone()),
            display_name: body.display_name.clone(),
            password_hash: Some(ctx.app.hasher.hash(&body.password)?),
            admin,
            created_at: ctx.now(),
        };
        ctx.app.store.write(move |tx| store::insert_user(tx, &new))
    };
    match (setup_code, policy) {
        (Some(code), _) => {
            let key = format!("setup|{}", ctx.client_address());
            let now = ctx.app.clock.now().seconds();
            ctx.app.throttle.check(&key, now)?;
            let made = ctx.app.with_setup_code(code, || insert(Admin::Yes));
            if matches!(&made, Err(error) if error.kind() == Kind::Forbidden) {
                ctx.app.throttle.fail(&key, now);
            }
            made
        }
        (None, Some(admin)) => insert(admin),
        (None, None) => Err(Error::new(Kind::Forbidden, "Registration is closed")),
    }
}

fn problem(rule: &'static str, field: &'static str, msg: &'static str, input: Value, ctx: Option<Value>) -> Error {
    Error::invalid(vec![Issue {
        rule: rule.into(),
        loc: vec!["body".into(), field.into()],
        msg: msg.into(),
        input,
        ctx,
    }])
}

/// The schema counts characters; the limit is about bytes.
fn check_password(password: &str) -> Result<(), Error> {
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

/// With an `@` a user name could be taken for somebody's e-mail address.
fn check_username(username: &str) -> Result<(), Error> {
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
struct Login {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    username: Option<String>,
    password: String,
}

#[derive(Serialize)]
struct Token {
    access_token: String,
    token_type: &'static str,
}

fn login(ctx: &Ctx, Body(body): Body<Login>) -> Result<Token, Error> {
    let user = authenticate_json(ctx, &body)?;
    bearer(ctx, &user)
}

fn bearer(ctx: &Ctx, user: &User) -> Result<Token, Error> {
    Ok(Token {
        access_token: session::open(&ctx.app, &ctx.request, user)?,
        token_type: "bearer",
    })
}

fn authenticate_json(ctx: &Ctx, body: &Login) -> Result<User, Error> {
    match body.email.as_deref().or(body.username.as_deref()) {
        Some(login) => authenticate(ctx, login, &body.password),
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
    #[schemars(length(min = 1))]
    password: String,
}

fn token(ctx: &Ctx, Form(form): Form<PasswordForm>) -> Result<Token, Error> {
    let user = authenticate(ctx, &form.username, &form.password)?;
    bearer(ctx, &user)
}

/// Who has this login and password. Unknown users take as long as wrong passwords, and both count as failures.
fn authenticate(ctx: &Ctx, login: &str, password: &str) -> Result<User, Error> {
    let key = format!("{}|{}", login.to_lowercase(), ctx.client_address());
    let now = ctx.app.clock.now().seconds();
    ctx.app.throttle.check(&key, now)?;
    let found = ctx.app.store.read(|read| store::find_user_by_login(read, login))?;
    let stored = found.as_ref().and_then(|(_, hash)| hash.as_deref());
    let is_right = password.len() <= PASSWORD_BYTES_MAX && ctx.app.hasher.verify(password, stored)?;
    // Again, because others have tried meanwhile: of many guesses at once only the first few are told anything.
    ctx.app.throttle.check(&key, now)?;
    match found {
        Some((user, _)) if is_right && !user.disabled => {
            ctx.app.throttle.clear(&key);
            Ok(user)
        }
        _ => {
            ctx.app.throttle.fail(&key, now);
            Err(Error::new(Kind::Unauthenticated, "Incorrect username or password"))
        }
    }
}

fn begin_session(ctx: &Ctx, Body(body): Body<Login>) -> Result<Reply, Error> {
    let user = authenticate_json(ctx, &body)?;
    let token = session::open(&ctx.app, &ctx.request, &user)?;
    Ok(session::with_cookie(&ctx.app, Reply::empty(204), &token))
}

/// Public, because the cookie must go also when its session has ended already.
fn end_session(ctx: &Ctx, (): ()) -> Result<Reply, Error> {
    if let Some(token) = session::token(&ctx.app, &ctx.request) {
        match session::identify(&ctx.app, token) {
            Ok(caller) => session::end(&ctx.app, &caller)?,
            Err(error) if error.kind() == Kind::Unauthenticated => {}
            Err(error) => return Err(error),
        }
    }
    Ok(session::without_cookie(&ctx.app, Reply::empty(204)))
}

#[derive(Serialize)]
struct LoggedOut {
    detail: &'static str,
}

fn logout(ctx: &Ctx, (): ()) -> Result<LoggedOut, Error> {
    session::end(&ctx.app, ctx.caller()?)?;
    Ok(LoggedOut { detail: "Logged out" })
}

fn me(ctx: &Ctx, (): ()) -> Result<Reply, Error> {
    Reply::json(200, &views::user(ctx.user()?))
}

#[derive(Deserialize, JsonSchema)]
struct UpdateMe {
    #[serde(default)]
    #[schemars(length(max = 200))]
    display_name: Option<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    username: Option<String>,
    #[serde(default)]
    #[schemars(email)]
    email: Option<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024))]
    password: Option<String>,
    #[serde(default)]
    current_password: Option<String>,
    #[serde(default)]
    #[schemars(length(max = 20_000))]
    system_prompt: Option<String>,
}

fn update_me(ctx: &Ctx, Body(body): Body<UpdateMe>) -> Result<Reply, Error> {
    let caller = ctx.caller()?;
    if let Some(username) = &body.username {
        check_username(username)?;
    }
    if body.password.is_some() || body.email.is_some() {
        let current = body.current_password.as_deref();
        let current =
            current.ok_or_else(|| problem("missing", "current_password", "Field required", json!({}), None))?;
        check_current_password(ctx, &caller.user, current)?;
    }
    let password_hash = match &body.password {
        Some(password) => {
            check_password(password)?;
            Some(ctx.app.hasher.hash(password)?)
        }
        None => None,
    };
    let is_new_password = password_hash.is_some();
    let patch = UserPatch {
        display_name: body.display_name,
        username: body.username,
        email: body.email,
        password_hash,
        system_prompt: body.system_prompt,
    };
    let user_id = caller.user.id;
    let kept = caller.session_id().map(str::to_owned);
    let user = ctx.app.store.write(move |tx| {
        let user = store::update_user(tx, user_id, &patch)?;
        if is_new_password {
            store::end_other_sessions(tx, &user, kept.as_deref())?;
        }
        Ok(user)
    })?;
    if is_new_password {
        sockets::recheck(&ctx.app, user_id);
    }
    Reply::json(200, &views::user(&user))
}

/// A stolen session must not be enough to take the account; nor may it be used to guess the password.
fn check_current_password(ctx: &Ctx, user: &User, password: &str) -> Result<(), Error> {
    let wrong = || Error::new(Kind::Forbidden, "The current password is wrong");
    let login = user.email.as_deref().ok_or_else(wrong)?;
    authenticate(ctx, login, password)
        .map(drop)
        .map_err(|error| match error.kind() {
            Kind::Unauthenticated => wrong(),
            _ => error,
        })
}

#[derive(Serialize)]
struct SessionView {
    id: String,
    user_agent: Option<String>,
    created_at: String,
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
