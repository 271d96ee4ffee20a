//! Names for models and the default model, for administrators.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Ctx;
use super::providers::source;
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Json, NoContent, Path, Route, delete, get, put};
use crate::limits::NAME_CHARS_MAX;
use crate::models::{Alias, Origin};
use crate::store::{self, Act, ModelSettings, Subject};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/admin/models",
        Auth::Admin,
        "The default model, the names for models, and the models there are",
        &Json(show),
    ),
    put(
        "/admin/models",
        Auth::Admin,
        "Set the default model",
        &Json(set_default),
    )
    .fails(&[Kind::Conflict]),
    put(
        "/admin/models/{alias}",
        Auth::Admin,
        "Make a name stand for one or several models, which are tried in turn",
        &Json(set_alias),
    )
    .fails(&[Kind::Conflict]),
    delete(
        "/admin/models/{alias}",
        Auth::Admin,
        "Let a name stand for nothing of its own again",
        &NoContent(remove_alias),
    )
    .fails(&[Kind::Conflict]),
];

#[derive(Serialize, JsonSchema)]
struct ModelsView {
    /// What answers when no model is named.
    default_model: DefaultView,
    aliases: Vec<AliasView>,
    /// By the names they are asked for by, the default first.
    available: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DefaultModel")]
struct DefaultView {
    /// As it was set; null: the first that there is.
    name: Option<String>,
    #[schemars(extend("enum" = ["environment", "stored", "discovered"]))]
    source: &'static str,
    /// What that is at present; empty for the first model of a server that has not listed any yet.
    runs: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ModelAlias")]
struct AliasView {
    name: String,
    models: Vec<String>,
    #[schemars(extend("enum" = ["environment", "stored"]))]
    source: &'static str,
}

fn show(ctx: &Ctx, (): ()) -> Result<ModelsView, Error> {
    let models = &ctx.app.models;
    let (name, origin) = match models.default_setting() {
        Some((name, origin)) => (Some(name), origin),
        None => (None, Origin::Found),
    };
    let alias = |(alias, origin): (Alias, Origin)| AliasView {
        name: alias.name,
        models: alias.models,
        source: source(origin),
    };
    Ok(ModelsView {
        default_model: DefaultView {
            name,
            source: source(origin),
            runs: models.default_model().model,
        },
        aliases: models.aliases().into_iter().map(alias).collect(),
        available: models.available(),
    })
}

/// Changes what is stored, and makes it what is asked. `change` says what it is that changes.
fn save(
    ctx: &Ctx,
    act: Act,
    change: impl Fn(&mut ModelSettings) -> Result<Changed, Error> + Send + 'static,
) -> Result<(), Error> {
    let doer = ctx.doer()?;
    ctx.app.store.write(move |tx| {
        let mut settings = store::find_model_settings(tx)?;
        let Changed { alias, from, to } = change(&mut settings)?;
        store::save_model_settings(tx, &settings)?;
        let subject = alias.map_or_else(Subject::default, |alias| Subject::named(&alias));
        let changes = store::differences(&json!({ "models": from }), &json!({ "models": to }));
        store::insert_changes(tx, &doer, act, &subject, changes)
    })?;
    ctx.app.reload_models()
}

/// A name for models, or the server's default, and what it stood for before and after.
struct Changed {
    alias: Option<String>,
    from: Vec<String>,
    to: Vec<String>,
}

fn of_environment(what: &str) -> Error {
    let message = format!("{what} is set by the server's flags or variables; change it there");
    Error::new(Kind::Conflict, message)
}

/// A name with a mistake in it would be found out by those who ask for it.
fn not_served(model: &str) -> Error {
    let message = format!("No provider serves {model:?}. Name it as provider/model");
    Error::new(Kind::Malformed, message)
}

#[derive(Deserialize, JsonSchema)]
struct SetDefault {
    /// `provider/model`, a model that is known, or an alias; null: the first that there is.
    #[schemars(length(max = NAME_CHARS_MAX))]
    default_model: Option<String>,
}

fn set_default(ctx: &Ctx, Body(body): Body<SetDefault>) -> Result<ModelsView, Error> {
    let models = &ctx.app.models;
    if matches!(models.default_setting(), Some((_, Origin::Environment))) {
        return Err(of_environment("The default model"));
    }
    let name = body.default_model.map(|name| name.trim().to_owned());
    let name = name.filter(|name| !name.is_empty());
    if let Some(name) = name.as_ref().filter(|name| !models.serves_name(name)) {
        return Err(not_served(name));
    }
    save(ctx, Act::ModelUpdate, move |settings| {
        let from = std::mem::replace(&mut settings.default_model, name.clone());
        Ok(Changed {
            alias: None,
            from: from.into_iter().collect(),
            to: name.iter().cloned().collect(),
        })
    })?;
    show(ctx, ())
}

#[derive(Deserialize, JsonSchema)]
struct AliasPath {
    /// What is asked for: `fast`, `balanced`, `smart`, or any other name.
    alias: String,
}

impl AliasPath {
    fn check_ours(&self, ctx: &Ctx) -> Result<(), Error> {
        let mut aliases = ctx.app.models.aliases().into_iter();
        if aliases.any(|(alias, origin)| alias.name == self.alias && origin == Origin::Environment) {
            return Err(of_environment("This alias"));
        }
        Ok(())
    }
}

#[derive(Deserialize, JsonSchema)]
struct SetAlias {
    /// `provider/model` each: the next one is tried when one fails before its first word.
    #[schemars(length(max = 8))]
    models: Vec<String>,
}

fn set_alias(ctx: &Ctx, (Path(path), Body(body)): (Path<AliasPath>, Body<SetAlias>)) -> Result<ModelsView, Error> {
    path.check_ours(ctx)?;
    let alias = Alias {
        name: path.alias,
        models: body.models.iter().map(|model| model.trim().to_owned()).collect(),
    };
    alias.check()?;
    if let Some(model) = alias.models.iter().find(|model| !ctx.app.models.serves(model)) {
        return Err(not_served(model));
    }
    save(ctx, Act::AliasUpdate, move |settings| {
        let Alias { name, models } = alias.clone();
        let mut from = Vec::new();
        match settings.aliases.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => from = std::mem::replace(old, models.clone()),
            None => settings.aliases.push((name.clone(), models.clone())),
        }
        Ok(Changed {
            alias: Some(name),
            from,
            to: models,
        })
    })?;
    show(ctx, ())
}

fn remove_alias(ctx: &Ctx, Path(path): Path<AliasPath>) -> Result<(), Error> {
    path.check_ours(ctx)?;
    save(ctx, Act::AliasDelete, move |settings| {
        let found = settings.aliases.iter().position(|(name, _)| *name == path.alias);
        let place = found.ok_or_else(|| Error::new(Kind::NotFound, "Alias not found"))?;
        let (alias, from) = settings.aliases.remove(place);
        Ok(Changed {
            alias: Some(alias),
            from,
            to: Vec::new(),
        })
    })
}
