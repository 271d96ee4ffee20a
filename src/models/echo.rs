//! The built-in model that repeats what it is told: it needs no key and no network, and its reply is predictable.

use super::{Completion, Delta, Failure, Prompt, Provider, Role, Stop, Usage};

/// The id of the only model here, and the name of its provider.
pub const ECHO: &str = "echo";

/// Replies `Echo: ` and the last user message.
pub(super) struct Echo;

impl Provider for Echo {
    fn name(&self) -> &str {
        ECHO
    }

    fn instant(&self) -> bool {
        true
    }

    fn complete(
        &self,
        prompt: &Prompt,
        stop: &Stop,
        on_delta: &mut dyn FnMut(Delta<'_>),
    ) -> Result<Completion, Failure> {
        if stop.is_stopped() {
            return Err(Failure::stopped());
        }
        let last = prompt.messages.iter().rfind(|message| message.role == Role::User);
        let reply = format!("Echo: {}", last.map_or("", |message| &message.content));
        on_delta(Delta::Text(&reply));
        Ok(Completion {
            provider: ECHO.to_owned(),
            model: ECHO.to_owned(),
            finish_reason: Some("stop".to_owned()),
            usage: Usage::estimate(prompt, reply.chars().count() as u64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::PromptMessage;
    use super::*;

    #[test]
    fn repeats_the_last_user_message() {
        let prompt = Prompt {
            model: ECHO.to_owned(),
            messages: vec![
                PromptMessage::text(Role::User, "one"),
                PromptMessage::text(Role::User, "héllo"),
                PromptMessage::text(Role::Assistant, "three"),
            ],
            ..Prompt::default()
        };
        let mut text = String::new();
        let completion = Echo.complete(&prompt, &Stop::new(), &mut |delta| match delta {
            Delta::Text(piece) => text.push_str(piece),
            Delta::Reasoning(_) | Delta::Tool(_) => panic!("{delta:?}"),
        });
        assert_eq!(text, "Echo: héllo");
        let usage = Usage {
            input_tokens: 4,
            output_tokens: 3,
            cached_tokens: 0,
            estimated: true,
        };
        assert_eq!(completion.unwrap().usage, usage);
    }
}
