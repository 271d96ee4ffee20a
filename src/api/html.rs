//! `?html=1`: messages that carry their text as HTML as well.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Ctx;
use crate::app::App;
use crate::error::Error;
use crate::http::{Answer, Later, Reply};
use crate::store::Message;

/// Whether messages are to carry it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(from = "bool")]
pub(super) enum Html {
    #[default]
    Without,
    With,
}

impl From<bool> for Html {
    fn from(is_wanted: bool) -> Html {
        if is_wanted { Html::With } else { Html::Without }
    }
}

/// The query of routes that answer messages and ask nothing else.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ShowHtml {
    /// Messages carry `html`, their text as HTML; without it where the server had no time to make it.
    #[serde(default)]
    #[schemars(with = "bool")]
    pub(super) html: Html,
}

/// Answers with the `view` of these messages. Without HTML there and then; with it as soon as it is there, which keeps
/// nobody waiting but the client.
pub(super) fn answer<A: Answer + Into<Reply> + 'static>(
    ctx: &Ctx,
    html: Html,
    messages: Vec<Message>,
    view: impl FnOnce(Vec<Message>) -> Result<A, Error> + Send + 'static,
    respond: Later<A>,
) {
    fill(&ctx.app, html, messages, |messages| respond.send(view(messages)));
}

/// Hands these messages on: there and then, or once they have HTML.
pub(super) fn fill(app: &App, html: Html, messages: Vec<Message>, then: impl FnOnce(Vec<Message>) + Send + 'static) {
    match html {
        Html::Without => then(messages),
        Html::With => app.renderer.fill(messages, then),
    }
}
