//! Proving who one is: failures counted, passwords verified on a hash thread, and the request answered from there.
//! No worker waits for a hash: a crowd that signs in delays nobody else.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Ctx, session};
use crate::app::App;
use crate::auth::Hashing;
use crate::error::{Error, Kind};
use crate::http::{Later, Reply};
use crate::store::{self, Doer, Means, User};

/// Bytes of a password. argon2 takes any number; a limit keeps hashing time independent of it.
pub(super) const PASSWORD_BYTES_MAX: usize = 1024;

/// What is kept of a request until a hash thread answers it.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) app: Arc<App>,
    /// The browser or program, as it names itself.
    pub(super) agent: Option<String>,
    address: IpAddr,
}

impl Visit {
    pub(super) fn new(ctx: &Ctx) -> Visit {
        Visit {
            app: Arc::clone(&ctx.app),
            agent: session::agent(&ctx.request),
            address: ctx.client_address(),
        }
    }

    /// Opens a session; returns its token.
    pub(super) fn open_session(&self, user: &User) -> Result<String, Error> {
        session::open(&self.app, Means::Session, self.agent.clone(), user)
    }

    /// Who makes an account, as the log of the administrators says it: whoever it is for.
    pub(super) fn maker(&self, made: &User, means: Means) -> Doer {
        Doer::new(made.created_at.clone(), made, self.address.to_string(), means)
    }

    /// Refuses whoever has failed too often at something (an account, the setup code) from this address.
    pub(super) fn check_failures(&self, at: &str) -> Result<(), Error> {
        self.app.throttle.check(&self.key(at), self.app.clock.now().seconds())
    }

    pub(super) fn count_failure(&self, at: &str) {
        self.app.throttle.fail(&self.key(at), self.app.clock.now().seconds());
    }

    fn forget_failures(&self, at: &str) {
        self.app.throttle.clear(&self.key(at));
    }

    fn key(&self, at: &str) -> String {
        format!("{at}|{}", self.address)
    }
}

/// A login and a password that somebody claims are theirs.
pub(super) struct Claim {
    pub(super) visit: Visit,
    login: String,
    password: String,
}

impl Claim {
    /// Unless it was tried too often already.
    pub(super) fn new(ctx: &Ctx, login: &str, password: String) -> Result<Claim, Error> {
        let visit = Visit::new(ctx);
        let login = login.to_owned();
        visit.check_failures(&login.to_lowercase())?;
        Ok(Claim { visit, login, password })
    }

    /// Who it is. Unknown users take as long as wrong passwords, and both count as failures.
    pub(super) fn verify(&self, hashing: &Hashing) -> Result<User, Error> {
        let (visit, account) = (&self.visit, self.login.to_lowercase());
        let found = visit
            .app
            .store
            .read(|read| store::find_user_by_login(read, &self.login))?;
        let stored = found.as_ref().and_then(|(_, hash)| hash.as_deref());
        let is_right = self.password.len() <= PASSWORD_BYTES_MAX && hashing.verify(&self.password, stored)?;
        // Again, because others have tried meanwhile: of many guesses at once only the first few are told anything.
        visit.check_failures(&account)?;
        match found {
            Some((user, _)) if is_right && !user.disabled => {
                visit.forget_failures(&account);
                Ok(user)
            }
            _ => {
                visit.count_failure(&account);
                Err(Error::new(Kind::Unauthenticated, "Incorrect username or password"))
            }
        }
    }
}

/// Answers from a hash thread; what was not prepared for it is refused at once.
pub(super) fn answer_later<T: Send + 'static, A: Into<Reply> + 'static>(
    ctx: &Ctx,
    prepared: Result<T, Error>,
    respond: Later<A>,
    finish: impl FnOnce(T, &Hashing) -> Result<A, Error> + Send + 'static,
) {
    match prepared {
        Err(error) => respond.send(Err(error)),
        Ok(prepared) => ctx.app.hasher.run(move |hashing| {
            respond.send(hashing.and_then(|hashing| finish(prepared, hashing)));
        }),
    }
}
