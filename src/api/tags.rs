//! Tags, and what a client keeps for its user: what the web UI stands on besides conversations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Ctx;
use super::changes::check_tag;
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Json, NoContent, Path, Route, delete, get, put};
use crate::limits::{SETTINGS_BYTES_MAX, TAG_CHARS_MAX};
use crate::store::{self, Tag};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get("/tags", Auth::User, "List the caller's tags by name", &Json(list)),
    put(
        "/tags/{tag}",
        Auth::User,
        "Rename a tag; if the new name is another tag's, the two become one",
        &Json(rename),
    ),
    delete(
        "/tags/{tag}",
        Auth::User,
        "Take a tag from all conversations",
        &NoContent(remove),
    ),
    get(
        "/settings",
        Auth::User,
        "What the caller's clients keep for them",
        &Json(settings),
    ),
    put(
        "/settings",
        Auth::User,
        "Replace what the caller's clients keep for them: an object of at most 64 KiB",
        &Json(replace_settings),
    )
    .fails(&[Kind::TooLarge]),
];

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tag")]
pub(super) struct TagView {
    name: String,
    conversation_count: i64,
}

fn view(tag: Tag) -> TagView {
    TagView {
        name: tag.name,
        conversation_count: tag.conversation_count,
    }
}

pub(super) fn list(ctx: &Ctx, (): ()) -> Result<Vec<TagView>, Error> {
    let owner = ctx.user()?.id;
    let tags = ctx.app.store.read(|read| store::list_tags(read, owner))?;
    Ok(tags.into_iter().map(view).collect())
}

#[derive(Deserialize, JsonSchema)]
struct TagPath {
    tag: String,
}

#[derive(Deserialize, JsonSchema)]
struct RenameTag {
    #[schemars(length(min = 1, max = TAG_CHARS_MAX))]
    name: String,
}

fn rename(ctx: &Ctx, (Path(path), Body(body)): (Path<TagPath>, Body<RenameTag>)) -> Result<TagView, Error> {
    let (owner, new_name) = (ctx.user()?.id, check_tag(&body.name, &[json!("name")])?);
    let renamed = ctx
        .app
        .store
        .write(move |tx| store::rename_tag(tx, owner, &path.tag, &new_name));
    renamed.map(view)
}

fn remove(ctx: &Ctx, Path(path): Path<TagPath>) -> Result<(), Error> {
    let owner = ctx.user()?.id;
    ctx.app.store.write(move |tx| store::delete_tag(tx, owner, &path.tag))
}

pub(super) type Settings = Map<String, Value>;

pub(super) fn settings(ctx: &Ctx, (): ()) -> Result<Settings, Error> {
    let user_id = ctx.user()?.id;
    let stored = ctx.app.store.read(|read| store::find_settings(read, user_id))?;
    let settings = stored.as_deref().map(serde_json::from_str).transpose();
    let settings = settings.map_err(|error| Error::internal("a user's settings are no object", error))?;
    Ok(settings.unwrap_or_default())
}

fn replace_settings(ctx: &Ctx, Body(settings): Body<Settings>) -> Result<Settings, Error> {
    let user_id = ctx.user()?.id;
    let json = Value::Object(settings.clone()).to_string();
    if json.len() > SETTINGS_BYTES_MAX {
        return Err(Error::new(Kind::TooLarge, "Settings have at most 64 KiB"));
    }
    ctx.app
        .store
        .write(move |tx| store::update_settings(tx, user_id, &json))?;
    Ok(settings)
}
