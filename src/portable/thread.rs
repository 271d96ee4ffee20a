//! A conversation as other programs keep it, and how it becomes one of ours: a tree of nodes in any order, of which some
//! say nothing that is shown. Ids become UUIDs that are always the same for the same conversation, so that importing
//! twice brings nothing twice.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::files::known_by;
use crate::clock::Moment;
use crate::limits::{NAME_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX};
use crate::store::{PortableConversation, PortableMessage};

/// Nodes of one conversation, those that say nothing included: several for each message that may be stored.
const NODES_MAX: usize = 100_000;

/// Characters of why a reply failed; the rest is cut.
const ERROR_CHARS: usize = 1000;

/// Bytes of what the tools of one message were given and answered, beyond which answers are left out: pages that were
/// read, mostly, of which the reply says what matters.
const CALLS_BYTES: usize = 512 * 1024;

/// A conversation of another program. What is absent was not there.
#[derive(Debug, Default)]
pub(super) struct Thread {
    /// What it is known by there; without one, what it says.
    pub(super) id: Option<String>,
    pub(super) title: Option<String>,
    pub(super) created_at: Option<Moment>,
    pub(super) updated_at: Option<Moment>,
    pub(super) is_pinned: bool,
    pub(super) is_archived: bool,
    pub(super) tags: Vec<String>,
    pub(super) system_prompt: Option<String>,
    pub(super) nodes: Vec<Node>,
    /// The node at the end of the branch that is shown; without one, the newest.
    pub(super) leaf: Option<String>,
}

/// A place in the tree. Without `said` it only joins those before and behind it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) parent: Option<String>,
    pub(super) at: Option<Moment>,
    pub(super) said: Option<Said>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    User,
    Model,
    /// What a tool answered goes to the call before it.
    Tool,
}

/// What is said at a node.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) speaker: Speaker,
    pub(super) text: String,
    pub(super) thoughts: String,
    pub(super) model: Option<String>,
    pub(super) calls: Calls,
    pub(super) files: Vec<SentFile>,
    /// Why a reply failed.
    pub(super) error: Option<String>,
}

/// A file that went with what was said.
#[derive(Debug, Default)]
pub(super) struct SentFile {
    pub(super) name: String,
    /// Its text, where the export has it.
    pub(super) text: Option<String>,
    /// What the program knows it by: where archives hold files, they do under that.
    pub(super) id: Option<String>,
    /// When it was sent.
    pub(super) at: Option<Moment>,
}

/// A conversation as one of ours.
#[derive(Debug)]
pub(super) struct Told {
    /// Without attachments: the texts of its messages end with the names of all their files.
    pub(super) conversation: PortableConversation,
    /// The messages with files of which the export has no text.
    pub(super) named: Vec<Named>,
}

/// The files of a message.
#[derive(Debug)]
pub(super) struct Named {
    /// The place of the message in the conversation.
    pub(super) message: usize,
    /// Bytes of its text before the names.
    pub(super) text_bytes: usize,
    /// Each once.
    pub(super) files: Vec<SentFile>,
}

/// A tool that a model called.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Value,
    pub(super) result: Option<String>,
}

/// The tools that a model called for one message, in their order.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) list: Vec<Call>,
    /// The first so many have their answers.
    answered: usize,
}

impl Node {
    /// Whether it is more than a joint: what tools answer is part of the call before it.
    fn is_message(&self) -> bool {
        let said = self.said.as_ref().filter(|said| !said.is_empty());
        said.is_some_and(|said| said.speaker != Speaker::Tool)
    }
}

impl Calls {
    /// Takes what a tool answered for the first call that has no answer yet.
    pub(super) fn answer(&mut self, result: String) {
        while self.list.get(self.answered).is_some_and(|call| call.result.is_some()) {
            self.answered += 1;
        }
        if let Some(call) = self.list.get_mut(self.answered) {
            call.result = Some(result);
        }
    }
}

impl SentFile {
    /// One of which there is a name, and perhaps its text.
    pub(super) fn new(name: impl Into<String>, text: Option<String>) -> SentFile {
        SentFile {
            name: name.into(),
            text,
            ..SentFile::default()
        }
    }

    /// Adds its name to the text of a message, and its own text where the export has it: all that there is of files that
    /// are no attachments here.
    pub(super) fn write(&self, content: &mut String) {
        let name = self.name.chars().filter(|char| !char.is_control());
        let name: String = name.take(NAME_CHARS_MAX).collect();
        append(content, &format!("[Attached: {name}]"));
        if let Some(text) = &self.text {
            let fence = fence(text);
            *content += &format!("\n{fence}\n{}\n{fence}", text.trim_end());
        }
    }
}

impl Said {
    pub(super) fn new(speaker: Speaker, text: impl Into<String>) -> Said {
        Said {
            speaker,
            text: text.into(),
            thoughts: String::new(),
            model: None,
            calls: Calls::default(),
            files: Vec::new(),
            error: None,
        }
    }

    fn is_empty(&self) -> bool {
        let texts = [&self.text, &self.thoughts];
        texts.iter().all(|text| text.trim().is_empty())
            && self.calls.list.is_empty()
            && self.files.is_empty()
            && self.error.is_none()
    }

    /// The text, with the texts of files that the export has.
    fn content(&self) -> String {
        let mut content = self.text.trim_end().to_owned();
        for file in self.files.iter().filter(|file| file.text.is_some()) {
            file.write(&mut content);
        }
        content
    }
}

/// More backticks than stand anywhere in the text, and at least three.
fn fence(text: &str) -> String {
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// Adds a paragraph.
fn append(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

impl Thread {
    /// The conversation as one of ours, from the program of this name.
    ///
    /// # Errors
    /// Why it cannot be one, in a sentence.
    pub(super) fn into_portable(mut self, source: &str) -> Result<Told, &'static str> {
        if self.nodes.len() > NODES_MAX {
            return Err("It has more than 100 000 messages");
        }
        let scope = match &self.id {
            Some(id) => uuid_of(&[source, id]),
            None => uuid_of(&[source, "", &digest(&self.nodes)]),
        };
        let tree = Tree::new(&self.nodes)?;
        let leaf = self
            .leaf
            .as_ref()
            .and_then(|leaf| tree.places.get(leaf.as_str()).copied());
        let (order, is_on_line) = (tree.order, tree.is_on_line);
        let mut story = Story {
            scope,
            began: self.created_at,
            messages: Vec::new(),
            besides: Vec::new(),
        };
        // For each node, the message that holds what was said there or last before it.
        let mut holder: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for (at, parent) in order {
            let before = parent.and_then(|parent| holder[parent]);
            let node = &mut self.nodes[at];
            holder[at] = match node.said.take().filter(|said| !said.is_empty()) {
                None => before,
                Some(said) => story.tell(node, said, before, is_on_line[at]),
            };
        }
        let leaf = leaf.and_then(|leaf| holder[leaf]);
        let (scope, messages, named) = story.end();
        if messages.is_empty() {
            return Err("Nothing is said in it");
        }
        let leaf = leaf
            .or(messages.len().checked_sub(1))
            .map(|at| messages[at].uuid.clone());
        let created_at = self
            .created_at
            .map_or_else(|| messages[0].created_at.clone(), Moment::text);
        let conversation = PortableConversation {
            uuid: scope,
            title: self.title.as_deref().map(name).filter(|title| !title.is_empty()),
            summary: None,
            updated_at: self.updated_at.map_or_else(|| created_at.clone(), Moment::text),
            created_at,
            is_pinned: self.is_pinned,
            is_archived: self.is_archived,
            model: None,
            system_prompt: self.system_prompt.filter(|prompt| !prompt.trim().is_empty()),
            temperature: None,
            max_tokens: None,
            library: false,
            tags: tags(self.tags),
            leaf,
            messages,
            sha256: None,
        };
        Ok(Told { conversation, named })
    }
}

/// The nodes in the order of their times, each behind the one it comes after.
struct Tree<'n> {
    places: HashMap<&'n str, usize>,
    /// Each with its parent.
    order: Vec<(usize, Option<usize>)>,
    /// Whether nothing else comes after the same message: then what is said goes on with it.
    is_on_line: Vec<bool>,
}

impl<'n> Tree<'n> {
    fn new(nodes: &'n [Node]) -> Result<Tree<'n>, &'static str> {
        let mut places = HashMap::with_capacity(nodes.len());
        for (at, node) in nodes.iter().enumerate() {
            if places.insert(node.id.as_str(), at).is_some() {
                return Err("Two of its messages have the same id");
            }
        }
        let parents: Vec<Option<usize>> = nodes
            .iter()
            .map(|node| {
                node.parent
                    .as_ref()
                    .and_then(|parent| places.get(parent.as_str()).copied())
            })
            .collect();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        let mut ready = BinaryHeap::new();
        for (at, parent) in parents.iter().enumerate() {
            match parent {
                Some(parent) => children[*parent].push(at),
                None => ready.push(Reverse((nodes[at].at, at))),
            }
        }
        let mut order = Vec::with_capacity(nodes.len());
        let mut is_on_line = vec![false; nodes.len()];
        while let Some(Reverse((_, at))) = ready.pop() {
            if let Some(parent) = parents[at] {
                is_on_line[at] = children[parent].len() == 1 && (nodes[parent].is_message() || is_on_line[parent]);
            }
            order.push((at, parents[at]));
            ready.extend(children[at].iter().map(|child| Reverse((nodes[*child].at, *child))));
        }
        if order.len() < nodes.len() {
            return Err("Its messages go round in a circle");
        }
        Ok(Tree {
            places,
            order,
            is_on_line,
        })
    }
}

/// The messages as they come about.
struct Story {
    scope: String,
    began: Option<Moment>,
    messages: Vec<PortableMessage>,
    /// For each message, what came with it.
    besides: Vec<Beside>,
}

/// What comes with a message.
struct Beside {
    /// What its model called.
    calls: Calls,
    /// The files of which the export has no text.
    files: Vec<SentFile>,
}

impl Story {
    /// Adds what is said at a node after the message `before`; returns the message that holds it.
    fn tell(&mut self, node: &Node, mut said: Said, before: Option<usize>, is_on_line: bool) -> Option<usize> {
        if said.speaker == Speaker::Tool {
            let is_reply = before.is_some_and(|before| self.messages[before].role == "assistant");
            if is_reply || said.files.is_empty() {
                if let Some(before) = before {
                    // A picture that a tool has drawn is the reply's.
                    self.besides[before].files.extend(files_of(node, &mut said));
                    self.besides[before].calls.answer(said.text);
                }
                return before;
            }
            // Before anything is said, it is the reply, which goes on with what follows.
            said = Said {
                files: said.files,
                ..Said::new(Speaker::Model, "")
            };
        }
        let calls = std::mem::take(&mut said.calls);
        // A reply that was told in several steps is one message.
        let goes_on = before.filter(|before| {
            is_on_line && said.speaker == Speaker::Model && self.messages[*before].role == "assistant"
        });
        let Some(at) = goes_on else {
            self.messages.push(self.message(node, &said, before));
            let files = files_of(node, &mut said);
            self.besides.push(Beside { calls, files });
            return Some(self.messages.len() - 1);
        };
        let message = &mut self.messages[at];
        append(&mut message.content, &said.content());
        if !said.thoughts.is_empty() {
            append(message.reasoning.get_or_insert_default(), &said.thoughts);
        }
        message.model = message.model.take().or(said.model.as_deref().map(name));
        if let Some(error) = &said.error {
            "failed".clone_into(&mut message.state);
            message.error = Some(error.chars().take(ERROR_CHARS).collect());
        }
        self.besides[at].calls.list.extend(calls.list);
        self.besides[at].files.extend(files_of(node, &mut said));
        Some(at)
    }

    fn message(&self, node: &Node, said: &Said, before: Option<usize>) -> PortableMessage {
        let parent = before.map(|before| &self.messages[before]);
        let fallback = || match (parent, self.began) {
            (Some(parent), _) => parent.created_at.clone(),
            (None, Some(began)) => began.text(),
            // Never now: the same file must come to the same each time.
            (None, None) => "1970-01-01T00:00:00.000000+00:00".to_owned(),
        };
        let is_reply = said.speaker == Speaker::Model;
        PortableMessage {
            uuid: uuid_of(&[&self.scope, &node.id]),
            parent: parent.map(|parent| parent.uuid.clone()),
            role: if is_reply { "assistant" } else { "user" }.to_owned(),
            content: said.content(),
            state: if said.error.is_some() { "failed" } else { "complete" }.to_owned(),
            model: said.model.as_deref().map(name).filter(|_| is_reply),
            error: said
                .error
                .as_deref()
                .map(|error| error.chars().take(ERROR_CHARS).collect()),
            reasoning: Some(said.thoughts.clone()).filter(|thoughts| !thoughts.is_empty()),
            tool_calls: None,
            sources: Vec::new(),
            summary: None,
            kind: "text".to_owned(),
            media_urls: Vec::new(),
            reply_to_id: None,
            status: "sent".to_owned(),
            importance_level: "normal".to_owned(),
            created_at: node.at.map_or_else(fallback, Moment::text),
            attachments: Vec::new(),
        }
    }

    fn end(mut self) -> (String, Vec<PortableMessage>, Vec<Named>) {
        let mut named = Vec::new();
        for (at, (message, beside)) in self.messages.iter_mut().zip(self.besides).enumerate() {
            let Beside { calls, mut files } = beside;
            if !calls.list.is_empty() {
                message.tool_calls = as_json(calls.list);
            }
            let mut known = HashSet::new();
            files.retain(|file| {
                file.id
                    .as_deref()
                    .is_none_or(|id| known.insert(known_by(id).to_owned()))
            });
            let text_bytes = message.content.len();
            for file in &files {
                file.write(&mut message.content);
            }
            if !files.is_empty() {
                named.push(Named {
                    message: at,
                    text_bytes,
                    files,
                });
            }
        }
        (self.scope, self.messages, named)
    }
}

/// The files said at a node of which the export has no text.
fn files_of(node: &Node, said: &mut Said) -> Vec<SentFile> {
    let files = std::mem::take(&mut said.files).into_iter();
    let unread = files.filter(|file| file.text.is_none());
    unread.map(|file| SentFile { at: node.at, ..file }).collect()
}

/// Calls in the form that messages keep them in.
fn as_json(calls: Vec<Call>) -> Option<Box<RawValue>> {
    let mut bytes = 0;
    let calls: Vec<Value> = calls
        .into_iter()
        .map(|call| {
            bytes += call.result.as_ref().map_or(0, String::len) + call.arguments.to_string().len();
            let result = call.result.filter(|_| bytes <= CALLS_BYTES);
            let arguments = if bytes <= CALLS_BYTES {
                call.arguments
            } else {
                Value::Null
            };
            serde_json::json!({ "name": name(&call.name), "arguments": arguments, "result": result })
        })
        .collect();
    serde_json::value::to_raw_value(&calls).ok()
}

fn name(text: &str) -> String {
    text.trim().chars().take(NAME_CHARS_MAX).collect()
}

fn tags(tags: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for tag in tags {
        let tag: String = tag
            .chars()
            .filter(|char| !char.is_control())
            .take(TAG_CHARS_MAX)
            .collect();
        let tag = tag.trim().to_owned();
        if !tag.is_empty() && !kept.contains(&tag) && kept.len() < TAGS_MAX {
            kept.push(tag);
        }
    }
    kept
}

/// What stands for a conversation that has no id: everything that is said in it.
fn digest(nodes: &[Node]) -> String {
    let mut hasher = Sha256::new();
    for node in nodes {
        hasher.update(&node.id);
        hasher.update([0]);
        hasher.update(node.said.as_ref().map_or("", |said| &said.text));
        hasher.update([0]);
    }
    crate::hex::hex(&hasher.finalize())
}

/// The UUID that stands for the words: always the same for the same.
pub(super) fn uuid_of(words: &[&str]) -> String {
    let digest = Sha256::digest(words.join("\0"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, parent: &str, speaker: Option<(Speaker, &str)>) -> Node {
        Node {
            id: id.to_owned(),
            parent: (!parent.is_empty()).then(|| parent.to_owned()),
            at: None,
            said: speaker.map(|(speaker, text)| Said::new(speaker, text)),
        }
    }

    fn portable(nodes: Vec<Node>, leaf: &str) -> Result<PortableConversation, &'static str> {
        let thread = Thread {
            id: Some("t".into()),
            nodes,
            leaf: Some(leaf.into()),
            ..Thread::default()
        };
        thread.into_portable("test").map(|told| told.conversation)
    }

    /// Each message with the place of the one before it.
    fn shape(conversation: &PortableConversation) -> Vec<(&str, Option<usize>)> {
        let place = |uuid: &String| conversation.messages.iter().position(|one| one.uuid == *uuid).unwrap();
        let messages = conversation.messages.iter();
        messages
            .map(|one| (one.content.as_str(), one.parent.as_ref().map(place)))
            .collect()
    }

    use Speaker::{Model, Tool, User};

    #[test]
    fn what_says_nothing_joins_its_neighbours() {
        let nodes = vec![
            node("d", "c", Some((Model, "2"))),
            node("a", "", None),
            node("b", "a", Some((User, "1"))),
            node("c", "b", None),
        ];
        assert_eq!(shape(&portable(nodes, "d").unwrap()), [("1", None), ("2", Some(0))]);
    }

    #[test]
    fn branches_stay_and_steps_of_one_reply_become_one() {
        let nodes = vec![
            node("q", "", Some((User, "q"))),
            node("r1", "q", Some((Model, "one"))),
            node("r2", "q", Some((Model, "two"))),
            node("r3", "r2", Some((Model, "more of two"))),
            node("x", "r3", Some((User, "x"))),
            node("y", "r3", Some((User, "y"))),
        ];
        let whole = portable(nodes, "x").unwrap();
        let expected = [
            ("q", None),
            ("one", Some(0)),
            ("two\n\nmore of two", Some(0)),
            ("x", Some(2)),
            ("y", Some(2)),
        ];
        assert_eq!(shape(&whole), expected);
        assert_eq!(whole.leaf, Some(whole.messages[3].uuid.clone()));
    }

    #[test]
    fn what_a_tool_answers_goes_to_its_call() {
        let mut call = node("c", "q", Some((Model, "")));
        let made = Call {
            name: "python".into(),
            arguments: Value::String("1+1".into()),
            result: None,
        };
        call.said.as_mut().unwrap().calls.list.push(made);
        let nodes = vec![
            node("q", "", Some((User, "q"))),
            call,
            node("t", "c", Some((Tool, "2"))),
            node("r", "t", Some((Model, "It is 2."))),
        ];
        let whole = portable(nodes, "r").unwrap();
        assert_eq!(shape(&whole), [("q", None), ("It is 2.", Some(0))]);
        let calls = whole.messages[1].tool_calls.as_ref().unwrap().get();
        assert_eq!(calls, r#"[{"name":"python","arguments":"1+1","result":"2"}]"#);
    }

    #[test]
    fn the_same_comes_to_the_same() {
        let nodes = || vec![node("q", "", Some((User, "q")))];
        let (one, two) = (portable(nodes(), "q").unwrap(), portable(nodes(), "q").unwrap());
        assert_eq!((&one.uuid, &one.messages[0].uuid), (&two.uuid, &two.messages[0].uuid));
        assert_eq!(one.created_at, two.created_at);
        assert_ne!(one.uuid, one.messages[0].uuid);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let said = || Some((User, "q"));
        for (nodes, reason) in [
            (vec![], "Nothing is said in it"),
            (vec![node("a", "", None)], "Nothing is said in it"),
            (
                vec![node("a", "", said()), node("a", "", said())],
                "Two of its messages have the same id",
            ),
            (
                vec![node("a", "b", said()), node("b", "a", said())],
                "Its messages go round in a circle",
            ),
        ] {
            assert_eq!(portable(nodes, "a").unwrap_err(), reason);
        }
    }

    #[test]
    fn files_are_named_and_their_texts_fenced() {
        let mut asked = node("q", "", Some((User, "Look ")));
        asked.said.as_mut().unwrap().files = vec![
            SentFile::new("a.png", None),
            SentFile::new("b.md", Some("```x```\n".into())),
        ];
        let whole = portable(vec![asked], "q").unwrap();
        assert_eq!(
            whole.messages[0].content,
            "Look\n\n[Attached: b.md]\n````\n```x```\n````\n\n[Attached: a.png]"
        );
    }

    #[test]
    fn what_a_tool_draws_is_the_replys_whatever_was_said_before() {
        let mut drawn = node("t", "c", Some((Tool, "done")));
        let file = |id: &str| SentFile {
            id: Some(id.into()),
            ..SentFile::new(id, None)
        };
        drawn.said.as_mut().unwrap().files = vec![file("file-1"), file("sediment://file-1#p"), file("file-2")];
        let nodes = vec![
            node("q", "", Some((User, "q"))),
            node("c", "q", Some((Model, ""))),
            drawn,
            node("r", "t", Some((Model, "A leaf."))),
        ];
        let whole = portable(nodes, "r").unwrap();
        let expected = [
            ("q", None),
            ("A leaf.\n\n[Attached: file-1]\n\n[Attached: file-2]", Some(0)),
        ];
        assert_eq!(shape(&whole), expected);
        assert_eq!(whole.messages[1].role, "assistant");
    }
}
