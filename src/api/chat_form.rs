//! ChatAI's way to send a message: a form, urlencoded or multipart, which may hold files. Ids are integers.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attachments::keep;
use super::send::{self, SendQuery, Sent, Words};
use super::{AnyId, Ctx};
use crate::app::App;
use crate::error::{Error, Kind};
use crate::http::{Form, FormFiles, Later, Query, Typed, Upload};
use crate::store::{self, MessageDetails};
use crate::turn::{Ask, Done, Target};

/// The form's field that holds files, as often as there are some.
const FILES: &str = "files";

const MISSING: &str = "Conversation not found";

#[derive(Deserialize, JsonSchema)]
pub(super) struct SendForm {
    text: String,
    #[serde(default)]
    model: Option<String>,
    /// Without it a conversation is created.
    #[serde(default)]
    conversation_id: Option<AnyId>,
    /// Whether the reply draws on the caller's documents; without it, as the conversation is set.
    #[serde(default)]
    library: Option<bool>,
    /// Whether the message waits for a reply that is being written in its conversation; else it is refused.
    #[serde(default)]
    queue: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Answered {
    conversation_id: i64,
    request_message_id: i64,
    response_message_id: i64,
    answer: String,
}

pub(super) fn send(
    ctx: &Ctx,
    (Query(query), (Form(mut form), FormFiles(files))): (Query<SendQuery>, (Form<SendForm>, FormFiles)),
    respond: Later<Sent<Answered>>,
) {
    form.queue = Some(query.queue(form.queue));
    let words = Words {
        requested: form.model.clone(),
        missing: MISSING.to_owned(),
        media: query.media(&ctx.request),
        html: query.html,
    };
    let (ask, uploads) = match prepare(ctx, form, &files) {
        Ok(prepared) => prepared,
        Err(error) => return respond.send(Err(error)),
    };
    let view = move |done: Done| {
        uploads.are_sent();
        let answered = Answered {
            conversation_id: done.conversation_id,
            request_message_id: done.request_message_id,
            response_message_id: done.response_message_id,
            answer: done.text,
        };
        Typed::json(&answered)
    };
    send::send(ctx, Ok(ask), words, view, respond);
}

/// The checks in the family's order: the model, the text, the conversation; then the files are kept.
fn prepare(ctx: &Ctx, form: SendForm, files: &[Upload]) -> Result<(Ask, Uploads), Error> {
    let user = ctx.user()?;
    let requested = form.model.as_deref();
    let mut choice = send::choose(ctx, requested, None)?;
    if form.text.trim().is_empty() {
        return Err(Error::new(Kind::Malformed, "Empty text"));
    }
    let to = match form.conversation_id {
        None => Target::New,
        Some(id) => {
            let missing = || Error::new(Kind::NotFound, MISSING);
            let which = id.parse().ok_or_else(missing)?;
            let found = ctx
                .app
                .store
                .read(|read| store::find_conversation(read, user.id, &which));
            let conversation = found?;
            choice = send::choose(ctx, requested, Some(&conversation))?;
            Target::from(conversation)
        }
    };
    let admission = ctx.admit_message()?;
    let mut uploads = Uploads {
        app: Arc::clone(&ctx.app),
        user_id: user.id,
        ids: Vec::new(),
    };
    for file in files.iter().filter(|file| file.field == FILES) {
        uploads.ids.push(keep(ctx, file)?.id);
    }
    let ask = Ask {
        user: user.clone(),
        to,
        text: form.text,
        attachments: uploads.ids.clone(),
        choice,
        library: form.library,
        admission,
        prompt: None,
        details: MessageDetails::default(),
        queue: form.queue == Some(true),
    };
    Ok((ask, uploads))
}

/// Files that are kept and not sent yet. Without a message nobody needs them, so they go with this. (Those whose message
/// was stored, though nobody answered it, are its own and stay.)
struct Uploads {
    app: Arc<App>,
    user_id: i64,
    ids: Vec<i64>,
}

impl Uploads {
    fn are_sent(mut self) {
        self.ids.clear();
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        let (user_id, ids) = (self.user_id, std::mem::take(&mut self.ids));
        let discarded = self.app.store.write(move |tx| store::delete_unsent(tx, user_id, &ids));
        if let Err(error) = discarded {
            log::warn!("uploads of a message that was not sent stay for a day: {error}");
        }
    }
}
