//! Providers, for administrators: those of the environment, those they have added, those found on this machine. Their
//! keys come in here and never go out.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Ctx;
use crate::app::App;
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Deferred, Json, Later, NoContent, Path, Route, Typed, delete, get, patch, post};
use crate::models::{ApiKey, NamedProvider, Origin, Protocol, ProviderConfig, ProviderStatus, State, check_name};
use crate::store::{self, Act, NewProvider, ProviderPatch, StoredProvider, Subject};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/admin/providers",
        Auth::Admin,
        "List the providers of models, and whether they are up",
        &Json(list),
    ),
    post(
        "/admin/providers",
        Auth::Admin,
        "Add a provider; it is asked for its models at once",
        &Deferred(create),
    )
    .fails(&[Kind::Conflict]),
    patch(
        "/admin/providers/{provider_id}",
        Auth::Admin,
        "Change a provider that was added; another address drops the key",
        &Deferred(update),
    )
    .fails(&[Kind::Conflict]),
    delete(
        "/admin/providers/{provider_id}",
        Auth::Admin,
        "Remove a provider that was added, and its key",
        &NoContent(remove),
    )
    .fails(&[Kind::Conflict]),
    post(
        "/admin/providers/{provider_id}/test",
        Auth::Admin,
        "Ask a provider for its models now",
        &Deferred(test),
    ),
];

/// A provider. Whether it has a key is said; the key is not.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Provider")]
pub(super) struct ProviderView {
    /// Of a provider that was added; null of others. Paths take the name as well.
    id: Option<i64>,
    /// What stands before the slash in `provider/model`.
    name: String,
    #[schemars(extend("enum" = ["openai", "anthropic"]))]
    protocol: &'static str,
    base_url: String,
    has_key: bool,
    #[schemars(extend("enum" = ["environment", "stored", "discovered"]))]
    source: &'static str,
    is_enabled: bool,
    /// `unknown` until it has been asked for the first time.
    #[schemars(extend("enum" = ["unknown", "up", "down", "off"]))]
    state: &'static str,
    /// Why it is down.
    reason: Option<String>,
    /// When it came to be in this state.
    #[schemars(extend("format" = "date-time"))]
    since: Option<String>,
    /// What it listed when it was last asked.
    models: Vec<String>,
}

/// A provider, as everybody sees it who is signed in.
#[derive(Serialize, JsonSchema)]
pub(super) struct Runner {
    name: String,
    #[schemars(extend("enum" = ["unknown", "up", "down"]))]
    state: &'static str,
    /// Why it is down.
    reason: Option<String>,
    /// What it listed when it was last asked.
    models: Vec<String>,
}

/// The providers that are not switched off.
pub(super) fn runners(app: &App) -> Vec<Runner> {
    let statuses = app.models.providers().into_iter();
    let runner = |status: ProviderStatus| Runner {
        name: status.config.name,
        state: state(status.state),
        reason: status.reason,
        models: status.models.to_vec(),
    };
    statuses
        .filter(|status| status.state != State::Off)
        .map(runner)
        .collect()
}

/// As it is written.
fn state(state: State) -> &'static str {
    match state {
        State::Unknown => "unknown",
        State::Up => "up",
        State::Down => "down",
        State::Off => "off",
    }
}

/// As it is written.
pub(super) fn source(origin: Origin) -> &'static str {
    match origin {
        Origin::Environment => "environment",
        Origin::Stored => "stored",
        Origin::Found => "discovered",
    }
}

impl From<ProviderStatus> for ProviderView {
    fn from(status: ProviderStatus) -> ProviderView {
        let config = status.config;
        ProviderView {
            id: config.id,
            protocol: config.protocol.name(),
            has_key: config.key.is_some(),
            source: source(config.origin),
            is_enabled: config.is_enabled,
            name: config.name,
            base_url: config.base_url,
            state: state(status.state),
            reason: status.reason,
            since: status.since.map(crate::clock::Moment::text),
            models: status.models.to_vec(),
        }
    }
}

fn list(ctx: &Ctx, (): ()) -> Result<Vec<ProviderView>, Error> {
    Ok(ctx.app.models.providers().into_iter().map(ProviderView::from).collect())
}

fn missing() -> Error {
    Error::new(Kind::NotFound, "Provider not found")
}

#[derive(Deserialize, JsonSchema)]
struct ProviderPath {
    /// Its id, or its name.
    provider_id: String,
}

impl ProviderPath {
    fn find(&self, app: &App) -> Result<ProviderStatus, Error> {
        let id: Option<i64> = self.provider_id.parse().ok();
        // No name begins with a digit.
        let is_it = |status: &ProviderStatus| match id {
            Some(id) => status.config.id == Some(id),
            None => status.config.name == self.provider_id,
        };
        app.models.providers().into_iter().find(is_it).ok_or_else(missing)
    }

    /// The row of one that was added: of others there is nothing to change here.
    fn find_stored(&self, app: &App) -> Result<(i64, ProviderConfig), Error> {
        let config = self.find(app)?.config;
        match config.id {
            Some(id) => Ok((id, config)),
            None => {
                let message = match config.origin {
                    Origin::Environment => "It is set by the server's flags or variables; change it there",
                    Origin::Stored | Origin::Found => "It was found on this machine; --no-discovery turns that off",
                };
                Err(Error::new(Kind::Conflict, message))
            }
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct CreateProvider {
    /// Lower-case letters, digits, `-`, `_` and `.`, a letter first.
    #[schemars(length(min = 1, max = 40))]
    name: String,
    /// `openai` or `anthropic`; of a provider that is known by its name, its own.
    #[serde(default)]
    #[schemars(extend("enum" = ["openai", "anthropic", null]))]
    protocol: Option<String>,
    /// May be left out of a provider that is known by its name, such as `groq` or `ollama`.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    base_url: Option<String>,
    #[serde(default)]
    #[schemars(length(max = 1000), extend("format" = "password"))]
    api_key: Option<String>,
}

fn create(ctx: &Ctx, Body(body): Body<CreateProvider>, respond: Later<Typed<ProviderView, 201>>) {
    match insert(ctx, body) {
        Ok(name) => answer(&ctx.app, name, respond),
        Err(error) => respond.send(Err(error)),
    }
}

/// Stores it, and makes it one that is asked; returns its name.
fn insert(ctx: &Ctx, body: CreateProvider) -> Result<String, Error> {
    let models = &ctx.app.models;
    let named = NamedProvider {
        name: body.name,
        protocol: protocol(body.protocol)?,
        base_url: body.base_url,
        key: body.api_key.as_deref().and_then(ApiKey::new),
    };
    let config = named.complete(Origin::Stored)?;
    models.check(&config)?;
    check_free(&ctx.app, &config.name)?;
    let new = NewProvider {
        name: config.name.clone(),
        protocol: config.protocol.name().to_owned(),
        base_url: config.base_url,
        api_key: config.key.map(|key| key.reveal().to_owned()),
        created_at: ctx.now(),
    };
    let doer = ctx.doer()?;
    ctx.app.store.write(move |tx| {
        store::insert_provider(tx, &new)?;
        let facts = json!({ "protocol": new.protocol, "base_url": new.base_url });
        let mut changes = store::differences(&Value::Null, &facts);
        if new.api_key.is_some() {
            changes.push(store::changed_secret("api_key"));
        }
        store::insert_entry(tx, &doer, Act::ProviderCreate, &Subject::named(&new.name), changes)
    })?;
    ctx.app.reload_models()?;
    Ok(config.name)
}

/// What is found on this machine makes room for one that is named; what the environment names does not.
fn check_free(app: &App, name: &str) -> Result<(), Error> {
    let is_taken = |status: &ProviderStatus| status.config.name == name && status.config.origin != Origin::Found;
    if app.models.providers().iter().any(is_taken) {
        let message = "There is a provider of this name already";
        return Err(Error::new(Kind::Conflict, message));
    }
    Ok(())
}

fn protocol(name: Option<String>) -> Result<Option<Protocol>, Error> {
    let unknown = || Error::new(Kind::Malformed, "The protocol is either openai or anthropic");
    name.map(|name| Protocol::parse(&name).ok_or_else(unknown)).transpose()
}

/// Answers with what a provider says when it is asked; that takes five seconds at most, of no worker's time.
fn answer<const STATUS: u16>(app: &Arc<App>, name: String, respond: Later<Typed<ProviderView, STATUS>>) {
    let answering = Arc::clone(app);
    app.models.test(&name.clone(), move || {
        let mut providers = answering.models.providers().into_iter();
        let found = providers.find(|status| status.config.name == name).ok_or_else(missing);
        respond.send(found.and_then(|status| Typed::json(&ProviderView::from(status))));
    });
}

#[derive(Deserialize, JsonSchema)]
struct UpdateProvider {
    #[serde(default)]
    #[schemars(length(min = 1, max = 40))]
    name: Option<String>,
    #[serde(default)]
    #[schemars(extend("enum" = ["openai", "anthropic", null]))]
    protocol: Option<String>,
    /// Without a key beside it, another address drops the one there is: it was entered for the old address.
    #[serde(default)]
    #[schemars(length(min = 1, max = 2000))]
    base_url: Option<String>,
    /// An empty one takes it away.
    #[serde(default)]
    #[schemars(length(max = 1000), extend("format" = "password"))]
    api_key: Option<String>,
    /// Whether it is asked at all.
    #[serde(default)]
    is_enabled: Option<bool>,
}

fn update(
    ctx: &Ctx,
    (Path(path), Body(body)): (Path<ProviderPath>, Body<UpdateProvider>),
    respond: Later<Typed<ProviderView>>,
) {
    match change(ctx, &path, body) {
        Ok(name) => answer(&ctx.app, name, respond),
        Err(error) => respond.send(Err(error)),
    }
}

/// Of a provider, what the log of administrators says about it when that changes.
fn facts(provider: &StoredProvider) -> Value {
    json!({
        "name": provider.name,
        "protocol": provider.protocol,
        "base_url": provider.base_url,
        "is_enabled": provider.is_enabled,
    })
}

/// Stores the change, and asks the provider so from now on; returns its name.
fn change(ctx: &Ctx, path: &ProviderPath, body: UpdateProvider) -> Result<String, Error> {
    let (id, before) = path.find_stored(&ctx.app)?;
    if let Some(name) = body.name.as_deref().filter(|name| *name != before.name) {
        check_name(name)?;
        check_free(&ctx.app, name)?;
    }
    let key = body.api_key.as_deref().map(ApiKey::new);
    let after = ProviderConfig {
        name: body.name.unwrap_or(before.name),
        protocol: protocol(body.protocol)?.unwrap_or(before.protocol),
        base_url: body
            .base_url
            .map_or(before.base_url, |url| url.trim().trim_end_matches('/').to_owned()),
        key: key.clone().flatten(),
        ..before
    };
    ctx.app.models.check(&after)?;
    let name = after.name.clone();
    let patch = ProviderPatch {
        name: Some(after.name),
        protocol: Some(after.protocol.name().to_owned()),
        base_url: Some(after.base_url),
        api_key: key.map(|key| key.map(|key| key.reveal().to_owned())),
        is_enabled: body.is_enabled,
    };
    let doer = ctx.doer()?;
    ctx.app.store.write(move |tx| {
        let before = store::find_provider(tx, id)?;
        store::update_provider(tx, id, &patch)?;
        let after = store::find_provider(tx, id)?;
        let mut changes = store::differences(&facts(&before), &facts(&after));
        if before.api_key != after.api_key {
            changes.push(store::changed_secret("api_key"));
        }
        store::insert_changes(tx, &doer, Act::ProviderUpdate, &Subject::named(&before.name), changes)
    })?;
    ctx.app.reload_models()?;
    Ok(name)
}

fn remove(ctx: &Ctx, Path(path): Path<ProviderPath>) -> Result<(), Error> {
    let (id, config) = path.find_stored(&ctx.app)?;
    let doer = ctx.doer()?;
    ctx.app.store.write(move |tx| {
        store::delete_provider(tx, id)?;
        store::insert_entry(
            tx,
            &doer,
            Act::ProviderDelete,
            &Subject::named(&config.name),
            Vec::new(),
        )
    })?;
    ctx.app.reload_models()
}

fn test(ctx: &Ctx, Path(path): Path<ProviderPath>, respond: Later<Typed<ProviderView>>) {
    match note_test(ctx, &path) {
        Ok(name) => answer(&ctx.app, name, respond),
        Err(error) => respond.send(Err(error)),
    }
}

/// Changes nothing, but sends the provider's key to its address.
fn note_test(ctx: &Ctx, path: &ProviderPath) -> Result<String, Error> {
    let (name, doer) = (path.find(&ctx.app)?.config.name, ctx.doer()?);
    let subject = Subject::named(&name);
    ctx.app
        .store
        .write(move |tx| store::insert_entry(tx, &doer, Act::ProviderTest, &subject, Vec::new()))?;
    Ok(name)
}
