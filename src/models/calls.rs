//! Calls of tools as OpenAI's protocol streams them: pieces by index, put together one call after the other.

use serde::Deserialize;
use serde_json::Value;

use super::ToolCall;
use super::failure::Failure;
use super::outlet::Outlet;

/// A piece of a call, or a whole one.
#[derive(Deserialize)]
pub(super) struct Piece {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Function>,
}

/// What is called. The older form of a call is nothing else.
#[derive(Deserialize)]
pub(super) struct Function {
    name: Option<String>,
    /// A text; some servers send the object itself.
    arguments: Option<Value>,
}

impl From<Function> for Piece {
    fn from(function: Function) -> Piece {
        Piece {
            index: None,
            id: None,
            function: Some(function),
        }
    }
}

/// The call that is being put together.
#[derive(Default)]
pub(super) struct Calls {
    current: Option<(Option<u64>, ToolCall)>,
}

impl Calls {
    /// Takes a piece. The call before it is delivered if this is the first of the next one.
    pub(super) fn take(&mut self, piece: Piece, outlet: &mut Outlet<'_>) -> Result<(), Failure> {
        let Piece { index, id, function } = piece;
        let (name, arguments) = function.map_or((None, None), |function| (function.name, function.arguments));
        let id = id.unwrap_or_default();
        let name = name.unwrap_or_default();
        let is_next = self
            .current
            .as_ref()
            .is_none_or(|(current, call)| match (*current, index) {
                (Some(current), Some(index)) if current != index => true,
                // Gemini calls all of them the first, each with an id of its own. vLLM gave every piece a new id, but
                // only the first a name.
                (_, Some(_)) => !name.is_empty() && !id.is_empty() && id != call.id,
                (_, None) => !name.is_empty(),
            });
        if is_next {
            self.end(outlet)?;
            let arguments = String::new();
            self.current = Some((index, ToolCall { id, name, arguments }));
        }
        let Some((_, call)) = &mut self.current else {
            return Ok(());
        };
        match arguments {
            None | Some(Value::Null) => (),
            Some(Value::String(text)) => call.arguments.push_str(&text),
            Some(object) => call.arguments.push_str(&object.to_string()),
        }
        outlet.check_held(call.id.len() + call.name.len() + call.arguments.len())
    }

    /// Nothing more comes of the last call: it is delivered.
    pub(super) fn end(&mut self, outlet: &mut Outlet<'_>) -> Result<(), Failure> {
        match self.current.take() {
            Some((_, call)) => outlet.call(call),
            None => Ok(()),
        }
    }
}
