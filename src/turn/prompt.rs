//! What a model is asked with: the branch, what was sent with it, what the library says, put together.

use std::time::{Duration, Instant};

use super::opening::Question;
use super::{Ask, Target, Turns, attached, context, passages};
use crate::error::Error;
use crate::models::{Prompt, Stop};
use crate::reading::Until;
use crate::store::{self, Branch, Conversation, User, Utterance};

/// How long a turn reads files that nobody has read yet, all of its prompt's together. The user waits for the reply
/// meanwhile; what is not read now may be with the next message.
const READING_MAX: Duration = Duration::from_secs(30);

impl Turns {
    /// What the next message of a conversation will be sent behind, as a text: one `speaker: words` after the other. If
    /// that message is long, the oldest turns make room for it. Waits for nothing: files that no model has asked for are
    /// not read for this.
    ///
    /// # Errors
    /// Those of the store.
    pub fn context(&self, user: &User, conversation: &Conversation) -> Result<String, Error> {
        let mut history = self.branch(conversation.id, conversation.leaf_id)?;
        let files = attached::read_into(&self.store, attached::Source::Kept, &mut history)?;
        let system_prompt = conversation.system_prompt.as_deref().or(user.system_prompt.as_deref());
        let system_prompt = files.behind(system_prompt);
        let system_prompt = system_prompt.as_deref();
        let prompt = context::before_next(system_prompt, &history, files.enclosed, self.limits.context_messages);
        Ok(context::text(&prompt))
    }

    /// As much of a branch as a prompt may hold: the earlier messages and the new one.
    pub(super) fn branch(&self, conversation_id: i64, leaf_id: Option<i64>) -> Result<Vec<Utterance>, Error> {
        let branch = Branch {
            conversation_id,
            leaf_id,
            before: None,
            limit: i64::try_from(self.limits.context_messages)
                .unwrap_or(i64::MAX)
                .saturating_add(1),
        };
        self.store.read(|read| store::list_utterances(read, &branch))
    }

    /// The same as [`Turns::prompt`]; what it draws on is kept with the reply.
    pub(super) fn prompt_with_sources(&self, ask: &Ask, question: &Question, stop: &Stop) -> Result<Prompt, Error> {
        let prompt = self.prompt(ask, question, stop)?;
        let passages = prompt.library.as_ref().map_or(&[][..], |library| &library.passages);
        if !passages.is_empty() {
            let (id, sources) = (question.reply_id, passages::sources(passages));
            self.store.write(move |tx| store::save_sources(tx, id, &sources))?;
        }
        Ok(prompt)
    }

    /// The question and what came before it, as the model will read them. Once it is stopped it waits for nothing.
    pub(super) fn prompt(&self, ask: &Ask, question: &Question, stop: &Stop) -> Result<Prompt, Error> {
        let mut branch = self.branch(question.conversation_id, Some(question.message_id))?;
        let until = Until {
            deadline: Instant::now() + READING_MAX,
            is_stopped: &|| stop.is_stopped(),
        };
        let source = attached::Source::Files(&self.reader, until);
        let files = attached::read_into(&self.store, source, &mut branch)?;
        let (own, temperature, max_tokens) = match &ask.to {
            Target::Existing {
                system_prompt,
                temperature,
                max_tokens,
                ..
            } => (system_prompt.as_deref(), *temperature, *max_tokens),
            Target::New => (None, None, None),
        };
        let system_prompt = own.or(ask.user.system_prompt.as_deref());
        let library = passages::look_up(&self.store, ask)?.map(passages::fitting);
        let found = library.as_ref().map_or(&[][..], |library| &library.passages);
        let system_prompt = passages::behind(files.behind(system_prompt).as_deref(), found);
        let system_prompt = system_prompt.as_deref();
        let begun = question.partial.as_ref().map(|partial| partial.content.as_str());
        let begun = begun.filter(|begun| !begun.is_empty());
        let messages = context::build(
            system_prompt,
            &branch,
            begun,
            files.enclosed,
            self.limits.context_messages,
        );
        Ok(Prompt {
            model: ask.choice.model.clone(),
            messages,
            temperature,
            max_tokens,
            library,
            ..Prompt::default()
        })
    }
}
