//! Who makes a request: the bearer token, the web UI's cookie, and the making and ending of sessions.

use super::sockets;
use crate::app::App;
use crate::auth::{API_KEY_START, Identity, NewToken, digest_hex};
use crate::error::{Error, Kind};
use crate::http::{Auth, Reply, Request};
use crate::store::{self, Admin, Means, NewSession, NewUser, Session, SessionKey, User};

/// Characters of a `User-Agent` that are kept with a session.
const USER_AGENT_CHARS: usize = 200;

/// Somebody who is signed in.
pub(super) struct Caller {
    pub(super) user: User,
    /// How they signed in.
    pub(super) means: Means,
    pub(super) session: SessionKey,
}

impl Caller {
    /// The id that `/api/{user_id}/…` is called with.
    pub(super) fn identity(&self) -> &str {
        self.user.external_id.as_deref().unwrap_or(&self.user.uuid)
    }

    /// The session's id, if it is one of ours.
    pub(super) fn session_id(&self) -> Option<&str> {
        match &self.session {
            SessionKey::Local(id) => Some(id),
            SessionKey::ApiKey(_) | SessionKey::External { .. } => None,
        }
    }

    /// The API key that the request is made with, if it is one.
    pub(super) fn api_key(&self) -> Option<i64> {
        match &self.session {
            SessionKey::ApiKey(id) => Some(*id),
            SessionKey::Local(_) | SessionKey::External { .. } => None,
        }
    }

    /// Whether this is an administrator, signed in as themselves.
    pub(super) fn administers(&self) -> bool {
        self.user.admin == Admin::Yes && self.api_key().is_none()
    }
}

pub(super) fn not_authenticated() -> Error {
    Error::new(Kind::Unauthenticated, "Not authenticated")
}

pub(super) fn refused() -> Error {
    Error::new(Kind::Unauthenticated, "Could not validate credentials")
}

/// The caller, where the route asks for one.
pub(super) fn find_caller(app: &App, request: &Request, auth: Auth) -> Result<Option<Caller>, Error> {
    match auth {
        Auth::Public => Ok(None),
        Auth::Page => require_own_page(app, request).map(|()| None),
        Auth::User => {
            let token = token(app, request).ok_or_else(not_authenticated)?;
            identify(app, token).map(Some)
        }
        Auth::Session => {
            let caller = find_caller(app, request, Auth::User)?;
            caller.iter().try_for_each(require_own)?;
            Ok(caller)
        }
        // Before the body is looked at, unlike ownership: what an administrator may say is nobody else's business.
        Auth::Admin => {
            let caller = find_caller(app, request, Auth::Session)?;
            match &caller {
                Some(signed_in) if signed_in.administers() => Ok(caller),
                _ => Err(Error::new(Kind::Forbidden, "Only an administrator may do this")),
            }
        }
    }
}

/// Refuses API keys: what is about the account itself is for its owner, who has signed in.
pub(super) fn require_own(caller: &Caller) -> Result<(), Error> {
    match caller.api_key() {
        None => Ok(()),
        Some(_) => Err(Error::new(
            Kind::Forbidden,
            "API keys may not do this; sign in with the password",
        )),
    }
}

/// Refuses pages of other origins, those of `--cors-origin` too: the cookie is for our own alone, and nobody else may
/// give it to their visitors or take it from them.
pub(super) fn require_own_page(app: &App, request: &Request) -> Result<(), Error> {
    if app.origins.is_same_origin(request) {
        return Ok(());
    }
    let message = "Only this server's own pages sign in with a cookie";
    Err(Error::new(Kind::Forbidden, message))
}

/// Whether somebody who is signed in makes a request of a route that is open to all: there a token that is no good makes
/// a visitor, not an error.
pub(super) fn is_signed_in(app: &App, request: &Request) -> bool {
    token(app, request).is_some_and(|token| identify(app, token).is_ok())
}

/// The token of a request: the `Authorization` header's, else the cookie's if one of our own pages sends it.
pub(super) fn token<'r>(app: &App, request: &'r Request) -> Option<&'r str> {
    if let Some(value) = request.header("Authorization") {
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(token.trim());
        }
        // Another scheme may be a proxy's, which asks for a password of its own before it lets anybody through.
    }
    if !app.origins.is_same_origin(request) {
        return None;
    }
    let cookies = request.header("Cookie")?.split(';');
    cookies
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == app.cookie)
        .map(|(_, token)| token)
        // The cookie is a session's: none is ever set for a key.
        .filter(|token| !token.starts_with(API_KEY_START))
}

/// Whom a token stands for, as of now.
pub(super) fn identify(app: &App, token: &str) -> Result<Caller, Error> {
    if token.starts_with(API_KEY_START) {
        return identify_key(app, token);
    }
    match app.tokens.verify(token, app.clock.now().seconds())? {
        Identity::Local {
            user_uuid,
            session_id,
            version,
        } => {
            let found = app.store.recall(&app.sessions, &session_id, |read| {
                store::find_session(read, &session_id)
            })?;
            let Some(signed_in) = found else {
                let user = app.store.read(|read| store::find_user_by_uuid(read, &user_uuid))?;
                // The session was ended; or there is no such user (any more).
                return Err(user.map_or_else(|| Error::new(Kind::Unauthenticated, "User not found"), |_| refused()));
            };
            if signed_in.user.uuid != user_uuid {
                return Err(Error::new(Kind::Unauthenticated, "User not found"));
            }
            if signed_in.user.disabled || !signed_in.is_current || version > signed_in.user.session_version {
                return Err(refused());
            }
            Ok(Caller {
                user: signed_in.user,
                means: signed_in.means,
                session: SessionKey::Local(session_id),
            })
        }
        Identity::External {
            id,
            email: _,
            expires_at_s,
        } => {
            let digest = digest_hex(token.as_bytes());
            let (user, is_revoked) = app.store.read(|read| {
                Ok((
                    store::find_user_by_external_id(read, &id)?,
                    store::find_revocation(read, &digest)?,
                ))
            })?;
            if is_revoked || user.as_ref().is_some_and(|user| user.disabled) {
                return Err(refused());
            }
            let user = match user {
                Some(user) => user,
                None => welcome(app, &id)?,
            };
            let now = app.clock.now();
            let expires_at = expires_at_s.map(|at| {
                let left = i64::try_from(at)
                    .unwrap_or(i64::MAX)
                    .saturating_sub(i64::try_from(now.seconds()).unwrap_or(0));
                now.plus_s(left).text()
            });
            Ok(Caller {
                user,
                means: Means::Session,
                session: SessionKey::External { digest, expires_at },
            })
        }
    }
}

/// Whom an API key stands for, as of now.
fn identify_key(app: &App, key: &str) -> Result<Caller, Error> {
    let digest = digest_hex(key.as_bytes());
    let found = app.store.read(|read| store::find_key_holder(read, &digest))?;
    let holder = found.ok_or_else(refused)?;
    let (api_key, now) = (holder.api_key, app.clock.now());
    let has_expired = holder.expires_at.is_some_and(|expires_at| expires_at <= now.text());
    if holder.user.disabled || has_expired {
        return Err(refused());
    }
    if app.keys_used.is_first(api_key, now.seconds()) {
        // Not waited for: reading must go on when the disk is full, or the database locked.
        app.store
            .write_later(move |tx| store::touch_api_key(tx, api_key, &now.text()));
    }
    Ok(Caller {
        user: holder.user,
        means: Means::Session,
        session: SessionKey::ApiKey(api_key),
    })
}

/// Makes the account of another system's user at the first request. Of two first requests one finds it made.
fn welcome(app: &App, external_id: &str) -> Result<User, Error> {
    let new = NewUser {
        uuid: app.clock.uuid(),
        external_id: Some(external_id.to_owned()),
        username: None,
        email: None,
        display_name: None,
        password_hash: None,
        admin: Admin::No,
        created_at: app.clock.now().text(),
    };
    match app.store.write(move |tx| store::insert_user(tx, &new)) {
        Err(error) if error.kind() == Kind::Conflict => {
            let found = app
                .store
                .read(|read| store::find_user_by_external_id(read, external_id))?;
            found.ok_or(error)
        }
        outcome => outcome,
    }
}

/// The browser or program that makes a request, as it names itself.
pub(super) fn agent(request: &Request) -> Option<String> {
    let agent = request.header("User-Agent")?;
    Some(agent.chars().take(USER_AGENT_CHARS).collect())
}

/// Stores a new session and returns the token that stands for it.
pub(super) fn open(app: &App, means: Means, user_agent: Option<String>, user: &User) -> Result<String, Error> {
    let now = app.clock.now();
    let lifetime_s = i64::from(app.settings.secrets.token_minutes) * 60;
    let session = Session {
        id: app.clock.uuid(),
        user_agent,
        created_at: now.text(),
        expires_at: now.plus_s(lifetime_s).text(),
    };
    let subject = NewToken {
        user_uuid: &user.uuid,
        email: user.email.as_deref(),
        session_id: &session.id,
        version: user.session_version,
    };
    let token = app.tokens.mint(&subject, now.seconds())?;
    let new = NewSession {
        user_id: user.id,
        version: user.session_version,
        session,
        means,
    };
    app.store.write(move |tx| store::insert_session(tx, &new))?;
    Ok(token)
}

/// Ends the caller's session: its token is refused from now on.
pub(super) fn end(app: &App, caller: &Caller) -> Result<(), Error> {
    let user_id = caller.user.id;
    let ended = match &caller.session {
        SessionKey::Local(id) => {
            let id = id.clone();
            app.store
                .write(move |tx| store::delete_session(tx, user_id, &id))
                .map(drop)
        }
        SessionKey::External { digest, expires_at } => {
            let (digest, expires_at) = (digest.clone(), expires_at.clone());
            app.store
                .write(move |tx| store::insert_revocation(tx, &digest, expires_at.as_deref()))
        }
        // It ends when its owner deletes it, and nobody gets a cookie for one.
        SessionKey::ApiKey(_) => require_own(caller),
    };
    ended?;
    sockets::recheck(app, user_id);
    Ok(())
}

/// The same reply with the session's cookie: out of JavaScript's reach, and never sent along from other sites.
pub(super) fn with_cookie(app: &App, reply: Reply, token: &str) -> Reply {
    let seconds = u64::from(app.settings.secrets.token_minutes) * 60;
    reply.header("Set-Cookie", &cookie(app, token, seconds))
}

/// The same reply with the cookie taken away.
pub(super) fn without_cookie(app: &App, reply: Reply) -> Reply {
    reply.header("Set-Cookie", &cookie(app, "", 0))
}

fn cookie(app: &App, token: &str, max_age_s: u64) -> String {
    let is_https = app
        .settings
        .public_url
        .as_deref()
        .is_some_and(|url| url.starts_with("https://"));
    let secure = if is_https { "; Secure" } else { "" };
    let path = match app.settings.base_path.as_str() {
        "" => "/",
        path => path,
    };
    format!(
        "{}={token}; Path={}; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}",
        app.cookie, path
    )
}
