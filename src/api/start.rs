//! What the web UI begins with, in one reply: who is here, what they have set, what they file conversations under, what
//! they can talk to, and their newest conversations. Asked for one by one, these would be five requests before the page can
//! show anything.

use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use super::ai_chat::{self, ChatList, ListChats};
use super::chatai::{self, Models};
use super::tags::{self, Settings, TagView};
use super::views::{self, UserView};
use crate::error::Error;
use crate::http::{Auth, Raw, Route, Typed, get};

pub(super) const ROUTES: &[Route<Ctx>] = &[get(
    "/api/start",
    Auth::User,
    "What a page begins with: the caller's account, settings, tags, models and newest chats, the pinned first",
    &Raw(start),
)];

#[derive(Serialize, JsonSchema)]
struct Start<'a> {
    user: UserView<'a>,
    settings: Settings,
    tags: Vec<TagView>,
    models: Models,
    chats: ChatList<'a>,
}

fn start(ctx: &Ctx, (): ()) -> Result<Typed<Start<'static>>, Error> {
    let (settings, tags, models) = (tags::settings(ctx, ())?, tags::list(ctx, ())?, chatai::models(ctx, ())?);
    ai_chat::with_list(ctx, &ListChats::first(), |chats| {
        Typed::json(&Start {
            user: views::user(ctx.user()?),
            settings,
            tags,
            models,
            chats,
        })
    })
}
