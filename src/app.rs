//! `App`: what a handler may reach. Built once from the settings; everything in it is shared and thread-safe.

mod models;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::auth::{self, Hasher, LastUse, RateLimit, RunSecret, SetupCode, Throttle, TokenConfig, Tokens};
use crate::backups::Backups;
use crate::chores::Chores;
use crate::cli::{Settings, Signup};
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::http::{Figures, Origins, Request};
use crate::models::{ModelsConfig, Registry, StoredModels, Timeouts};
use crate::policy::{MESSAGES_PER_MINUTE, Policy, Rules};
use crate::pricing::Pricing;
use crate::render::Renderer;
use crate::store::{self, Memo, Read, SharedStore, SignedIn, Store};
use crate::system;
use crate::turn::{self, Hub, Turns};

/// The file that the signing secret is kept in.
const SECRET_FILE: &str = "secret";

/// Shorter secrets can be guessed from a single token.
const SECRET_BYTES_ADVISED: usize = 32;

/// Failed sign-ins of one account from one address, in [`THROTTLE_WINDOW`].
const FAILURES_MAX: u32 = 10;

const THROTTLE_WINDOW: Duration = Duration::from_secs(15 * 60);

/// Exports and imports at the same time: each keeps a core busy, and may keep some hundred megabytes of the disk.
const TRANSFERS_MAX: usize = 2;

/// What answers those who want more long work than there may be.
const BUSY: &str = "Another request of this kind is being worked on; try again when it is done";

/// Exports and copies that clients are still fetching, and those of one user: each keeps its room on the disk until then.
const DOWNLOADS_MAX: usize = 16;
const DOWNLOADS_EACH_MAX: usize = 4;

/// Bytes of a table of prices: thousands of models. A file beyond that is another one than was meant.
const PRICING_BYTES_MAX: u64 = 1024 * 1024;

/// Everything that handlers share.
pub struct App {
    /// As parsed.
    pub settings: Arc<Settings>,
    /// All data.
    pub store: SharedStore,
    /// Which models there are.
    pub models: Arc<Registry>,
    /// What they cost.
    pub pricing: Arc<Pricing>,
    /// Replies being written.
    pub turns: Arc<Turns>,
    /// Who listens to what happens.
    pub hub: Arc<Hub>,
    /// Messages as HTML.
    pub renderer: Arc<Renderer>,
    /// Minting and reading tokens.
    pub tokens: Tokens,
    /// Passwords.
    pub hasher: Hasher,
    /// Failed sign-ins.
    pub throttle: Throttle,
    /// Times and ids.
    pub clock: Clock,
    /// Whose requests these are.
    pub origins: Origins,
    /// The session cookie's name: cookies do not know ports, so two servers on one machine need two names.
    pub cookie: String,
    /// What administrators have changed since.
    pub policy: Policy,
    /// Copies of the whole database; each takes as much of the disk.
    pub backups: Arc<Chores>,
    /// Copies that the server makes by itself, if it does.
    pub scheduled: Option<Arc<Backups>>,
    /// Exports and imports.
    pub transfers: Arc<Chores>,
    /// Files made for clients that are not fetched to their ends yet.
    pub downloads: Arc<Chores>,
    /// What the engine counts.
    pub figures: Arc<Figures>,
    /// What the owner of the data folder knows, and nobody else.
    pub run_secret: RunSecret,
    /// When API keys were used last.
    pub keys_used: LastUse,
    /// Whose sessions are.
    pub sessions: Memo<Option<SignedIn>>,
    messages: RateLimit,
    reloading_models: Mutex<()>,
    setup: SetupCode,
}

/// What of an application needs no store.
struct Prepared {
    pricing: Arc<Pricing>,
    models: Arc<Registry>,
    origins: Origins,
}

impl Prepared {
    /// With the table of prices that was named, if one was.
    fn new(settings: &Settings, prices: Option<Pricing>) -> Result<Prepared, Error> {
        let pricing = Arc::new(prices.map_or_else(Pricing::built_in, Ok)?);
        let models = Registry::new(ModelsConfig {
            default_model: settings.default_model.clone(),
            // Clients offer the first model of the table as the default.
            default_name: pricing.models().next().map(str::to_owned),
            keys: settings.secrets.provider_keys.clone(),
            openai_base_url: settings.secrets.openai_base_url.clone(),
            providers: settings.providers.clone(),
            aliases: settings.aliases.clone(),
            discovery: settings.discovery,
            connections_max: settings.max_turns,
            timeouts: Timeouts::default(),
        })?;
        let own_names = system::host_name().map(|name| [format!("{name}.local"), name]);
        let public = settings.public_url.as_deref().and_then(host_of);
        let names = own_names
            .into_iter()
            .flatten()
            .chain(public)
            .chain(settings.allowed_hosts.clone());
        let origins = Origins::new(names, settings.public_url.as_deref()).shared_with(settings.cors_origins.clone());
        Ok(Prepared {
            pricing,
            models: Arc::new(models),
            origins,
        })
    }
}

impl App {
    /// Opens the store and prepares everything else; does `meanwhile` at the same time.
    ///
    /// # Errors
    /// Sentences for the terminal: a folder that cannot be used, a database that is not ours, a secret, a provider or a
    /// table of prices that cannot be used.
    pub fn open<M: Send + 'static>(
        settings: Settings,
        meanwhile: impl FnOnce(&Settings) -> M + Send + 'static,
    ) -> Result<(App, M), Error> {
        // Before the database is touched: whoever has named another file than was meant finds it as it was.
        let prices = settings.pricing.as_deref().map(pricing).transpose()?;
        let settings = Arc::new(settings);
        let shared = Arc::clone(&settings);
        let prepare = move || (Prepared::new(&shared, prices), meanwhile(&shared));
        let find = |read: &Read<'_>| Ok((Rules::find(read)?, models::find(read)?));
        let (store, found, (prepared, made)) = Store::open_and_find(&settings.location, find, prepare)?;
        let app = App::new(settings, prepared?, store, found)?;
        Ok((app, made))
    }

    fn new(
        settings: Arc<Settings>,
        prepared: Prepared,
        store: Store,
        (rules, stored_models): (Rules, StoredModels),
    ) -> Result<App, Error> {
        let Prepared {
            pricing,
            models,
            origins,
        } = prepared;
        let store = Arc::new(store);
        models.store(stored_models);
        models.check_default()?;
        let secrets = &settings.secrets;
        // Only now: where the database is not ours, no secret is left beside it.
        let tokens = Tokens::new(TokenConfig {
            secret: secret(&settings)?,
            algorithm: secrets.jwt_algorithm,
            lifetime: Duration::from_secs(u64::from(secrets.token_minutes) * 60),
            external_secret: secrets.external_secret.clone().map(String::into_bytes),
        })?;
        if let Some(secret) = &secrets.external_secret {
            advise("BETTER_AUTH_SECRET", secret);
        }
        let clock = Clock;
        let hub = Arc::new(Hub::default());
        let limits = turn::Limits {
            turns_max: settings.max_turns,
            context_messages: settings.context_messages,
        };
        let turns = Turns::new(
            Arc::clone(&store),
            Arc::clone(&hub),
            Arc::clone(&pricing),
            clock,
            limits,
        );
        Ok(App {
            hub,
            renderer: Arc::new(Renderer::new(Arc::clone(&store))),
            turns: Arc::new(turns),
            models,
            pricing,
            tokens,
            hasher: Hasher::default(),
            throttle: Throttle::new(FAILURES_MAX, THROTTLE_WINDOW),
            clock,
            origins,
            cookie: format!("fireside_{}", store.installation()),
            messages: RateLimit::new(MESSAGES_PER_MINUTE),
            policy: Policy::new(&settings, rules),
            figures: Arc::new(Figures::default()),
            backups: Chores::new(1, 1, BUSY),
            scheduled: settings
                .backups
                .clone()
                .map(|schedule| Backups::new(Arc::clone(&store), schedule)),
            transfers: Chores::new(TRANSFERS_MAX, TRANSFERS_MAX, BUSY),
            downloads: Chores::new(
                DOWNLOADS_MAX,
                DOWNLOADS_EACH_MAX,
                "Too many files are still being fetched; try again when those downloads are over",
            ),
            reloading_models: Mutex::default(),
            setup: SetupCode::default(),
            run_secret: RunSecret::random(),
            keys_used: LastUse::default(),
            sessions: Memo::default(),
            store,
            settings,
        })
    }

    /// Whether this server is for this machine alone: bound to loopback, and nothing says that others reach it.
    pub fn is_private(&self) -> bool {
        let settings = &self.settings;
        settings.host.is_loopback()
            && settings.public_url.is_none()
            && settings.allowed_hosts.is_empty()
            && settings.trusted_proxies.is_empty()
    }

    /// Whether a request is *local*: the server is private, and no proxy has passed the request on (which would make
    /// the internet look like this machine), and no page of a site that nobody named has sent it.
    pub fn is_local(&self, request: &Request) -> bool {
        self.is_private()
            && !self.origins.is_from_anybody(request)
            && !request.has_header(|name| {
                name.eq_ignore_ascii_case("forwarded")
                    || name
                        .get(..12)
                        .is_some_and(|start| start.eq_ignore_ascii_case("x-forwarded-"))
            })
    }

    /// The client's own address, behind the proxies that are trusted.
    pub fn client_address(&self, request: &Request) -> IpAddr {
        let is_trusted = |address: &IpAddr| self.settings.trusted_proxies.contains(address);
        // On a socket of both kinds an IPv4 address comes in IPv6's clothes.
        let peer = request.peer().to_canonical();
        if !is_trusted(&peer) {
            return peer;
        }
        // From the right: each trusted proxy vouches for the address to its left, and for nothing further.
        // Some add a field of their own behind the client's instead of a word to it.
        let fields = request.headers("X-Forwarded-For").rev();
        let mut client = peer;
        for part in fields.flat_map(|field| field.rsplit(',')) {
            match part.trim().parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
            if !is_trusted(&client) {
                break;
            }
        }
        client
    }

    /// Counts a message against its sender's limit.
    ///
    /// # Errors
    /// [`Kind::RateLimited`] with the time after which to try again.
    pub fn count_message(&self, request: &Request, user_id: i64) -> Result<(), Error> {
        let limit = match self.policy.rules().messages_per_minute {
            Some(limit) => limit,
            None if self.is_local(request) => 0,
            None => MESSAGES_PER_MINUTE,
        };
        if limit == 0 {
            return Ok(());
        }
        self.messages.set(limit);
        self.messages.take(user_id, self.clock.now().seconds())
    }

    /// Whether a visitor may make an account, and of which kind, without a setup code.
    pub fn signup(&self, request: &Request) -> Option<store::Admin> {
        match (self.policy.rules().signup, self.is_local(request)) {
            (None | Some(Signup::Open), true) => Some(store::Admin::IfFirst),
            // Where strangers may come by, the first of them must not become the administrator.
            (Some(Signup::Open), false) => Some(store::Admin::No),
            (Some(Signup::Closed), _) | (None, false) => None,
        }
    }

    /// Makes a setup code if nobody could become the administrator without one.
    ///
    /// # Errors
    /// Those of the store.
    pub fn make_setup_code(&self) -> Result<Option<String>, Error> {
        let is_needed = !self.is_private() || self.policy.rules().signup == Some(Signup::Closed);
        if !is_needed || self.store.read(store::count_admins)? > 0 {
            return Ok(None);
        }
        Ok(Some(self.setup.make(self.clock.now().seconds())))
    }

    /// Whether a setup code is waiting to be used.
    pub fn has_setup_code(&self) -> bool {
        self.setup.is_there(self.clock.now().seconds())
    }

    /// Uses the setup code for `work`, which makes the account; if that fails the code stays. The secret of this run is as
    /// good as the code: the owner of the data folder may make an administrator at any time.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] when the code is wrong, used or too old; those of `work`.
    pub fn with_setup_code<T>(&self, code: &str, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        if self.run_secret.is(code) {
            return work();
        }
        self.setup.use_for(code, self.clock.now().seconds(), work)
    }
}

/// The host name of a URL.
fn host_of(url: &str) -> Option<String> {
    let authority = url.split_once("://")?.1.split('/').next()?;
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    Some(name.to_ascii_lowercase())
}

/// The table of prices in a file.
fn pricing(path: &Path) -> Result<Pricing, Error> {
    let name = path.display().to_string();
    let unreadable = || Error::new(Kind::Malformed, format!("The prices in {name} cannot be read"));
    let mut json = String::new();
    let file = File::open(path).map_err(|error| unreadable().caused_by(error))?;
    let bytes = file.take(PRICING_BYTES_MAX + 1).read_to_string(&mut json);
    if bytes.map_err(|error| unreadable().caused_by(error))? as u64 > PRICING_BYTES_MAX {
        return Err(unreadable().caused_by("the file is larger than 1 MiB"));
    }
    Pricing::parse(&name, &json)
}

/// The signing secret: configured, or random and kept beside the database.
fn secret(settings: &Settings) -> Result<Vec<u8>, Error> {
    if let Some(secret) = &settings.secrets.jwt_secret {
        advise("JWT_SECRET_KEY", secret);
        return Ok(secret.clone().into_bytes());
    }
    let path = settings.location.folder.join(SECRET_FILE);
    let failed = |error| {
        let message = format!("The secret {} cannot be used", path.display());
        Error::new(Kind::Unavailable, message).caused_by(error)
    };
    match read_secret(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make_secret(&path).map_err(failed),
        read => read.map_err(failed),
    }
}

/// A new secret, whole and on disk before any token is signed with it: after a power cut there is none or this one.
fn make_secret(path: &Path) -> std::io::Result<Vec<u8>> {
    let secret = auth::random_secret();
    let part = path.with_extension("part");
    match std::fs::remove_file(&part) {
        // What a start that was cut off has left. Nobody else makes one: whoever starts has locked the folder.
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = system::create_private_file(&part)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    system::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    Ok(secret.to_vec())
}

fn read_secret(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut secret = Vec::new();
    File::open(path)?.take(4096).read_to_end(&mut secret)?;
    if secret.len() < SECRET_BYTES_ADVISED {
        // None of ours is: one is made whole.
        let message = "it is too short; remove it to have a new one made (everyone signs in again)";
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
    }
    Ok(secret)
}

fn advise(name: &str, secret: &str) {
    if secret.len() < SECRET_BYTES_ADVISED {
        log::warn!(
            "{name} has only {} bytes: anyone may guess it and sign in as anybody. Use {SECRET_BYTES_ADVISED} random bytes or more",
            secret.len()
        );
    }
}
