//! A conversation as the tree that it is: its branches, and which of them is shown. Everywhere else there is only that
//! one.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chatai::ConversationPath;
use super::regenerate::MessagePath;
use super::views::{self, ChatView};
use super::{AnyId, Ctx};
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Json, NoContent, Path, Route, delete, get, post, put};
use crate::store::{self, Conversation, Node, Ref};
use crate::turn::Event;

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/conversations/{conversation_id}/tree",
        Auth::User,
        "All messages of a conversation with the beginning of each, on all branches; of the newest 10 000",
        &Json(tree),
    ),
    put(
        "/conversations/{conversation_id}/leaf",
        Auth::User,
        "Show another branch: the one that ends with the newest message below the given one",
        &Json(show),
    ),
    delete(
        "/messages/{message_id}",
        Auth::User,
        "Delete a message and all that was said after it; it can be restored for 30 days",
        &NoContent(remove),
    )
    .fails(&[Kind::Conflict]),
    post(
        "/messages/{message_id}/restore",
        Auth::User,
        "Undo the deletion of a message",
        &Json(restore),
    )
    .fails(&[Kind::Conflict]),
];

const MISSING: &str = "Message not found";

/// A conversation's messages, oldest first.
#[derive(Serialize, JsonSchema)]
struct Tree {
    conversation_id: i64,
    #[schemars(extend("format" = "uuid"))]
    chat_id: String,
    /// The end of the branch that is shown.
    leaf_id: Option<i64>,
    /// Whether there are older messages, which are left out. The parents of the oldest ones may then be missing.
    is_truncated: bool,
    messages: Vec<NodeView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageInTree")]
struct NodeView {
    id: i64,
    #[schemars(extend("format" = "uuid"))]
    uuid: String,
    parent_id: Option<i64>,
    /// What answers or follows it, oldest first.
    children: Vec<i64>,
    /// Its place among the children of its parent, from 0.
    sibling_index: usize,
    sibling_count: usize,
    #[schemars(extend("enum" = ["user", "assistant"]))]
    role: &'static str,
    #[schemars(extend("enum" = ["complete", "streaming", "interrupted", "stopped", "failed"]))]
    state: &'static str,
    model: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    /// The first 200 characters.
    preview: String,
}

fn tree(ctx: &Ctx, Path(path): Path<ConversationPath>) -> Result<Tree, Error> {
    let (owner, which) = (ctx.user()?.id, path.conversation()?);
    let (conversation, tree) = ctx.app.store.read(|read| {
        let conversation = store::find_conversation(read, owner, &which)?;
        let tree = store::list_tree(read, conversation.id)?;
        Ok((conversation, tree))
    })?;
    Ok(Tree {
        conversation_id: conversation.id,
        chat_id: conversation.uuid,
        leaf_id: conversation.leaf_id,
        is_truncated: tree.is_truncated,
        messages: with_places(tree.nodes),
    })
}

/// The nodes, oldest first, with what each is to the others.
fn with_places(nodes: Vec<Node>) -> Vec<NodeView> {
    let mut children: HashMap<Option<i64>, Vec<i64>> = HashMap::new();
    for node in &nodes {
        children.entry(node.parent_id).or_default().push(node.id);
    }
    let view = |node: Node| {
        let siblings = children.get(&node.parent_id).map_or(&[][..], Vec::as_slice);
        NodeView {
            children: children.get(&Some(node.id)).cloned().unwrap_or_default(),
            // They stand in the order of their ids.
            sibling_index: siblings.partition_point(|id| *id < node.id),
            sibling_count: siblings.len(),
            id: node.id,
            uuid: node.uuid,
            parent_id: node.parent_id,
            role: node.role.name(),
            state: node.state.name(),
            model: node.model,
            created_at: node.created_at,
            preview: node.preview,
        }
    };
    nodes.into_iter().map(view).collect()
}

#[derive(Deserialize, JsonSchema)]
struct ShowBranch {
    /// Any message of the conversation.
    message_id: AnyId,
}

fn show(
    ctx: &Ctx,
    (Path(path), Body(body)): (Path<ConversationPath>, Body<ShowBranch>),
) -> Result<ChatView<'static>, Error> {
    let (user, which) = (ctx.user()?, path.conversation()?);
    let (owner, message) = (user.id, parse(&body.message_id)?);
    let conversation = ctx.app.store.write(move |tx| {
        let conversation = store::find_conversation(tx, owner, &which)?;
        store::show_branch(tx, conversation.id, &message)?;
        store::find_conversation(tx, owner, &which)
    })?;
    changed(ctx, conversation)
}

fn parse(id: &AnyId) -> Result<Ref, Error> {
    id.parse().ok_or_else(|| Error::new(Kind::NotFound, MISSING))
}

/// Tells the user's devices that another branch is shown.
fn changed(ctx: &Ctx, conversation: Conversation) -> Result<ChatView<'static>, Error> {
    let user = ctx.user()?;
    ctx.app.hub.publish(user.id, None, || Event::Changed {
        chat_id: conversation.uuid.clone(),
    });
    Ok(views::chat(conversation, user))
}

fn remove(ctx: &Ctx, Path(path): Path<MessagePath>) -> Result<(), Error> {
    let (owner, which) = (ctx.user()?.id, parse(&path.message_id)?);
    let (_, chat_id) = ctx.app.store.read(|read| store::find_message(read, owner, &which))?;
    let (uuid, now) = (ctx.app.clock.uuid(), ctx.now());
    let conversation = ctx.app.turns.undisturbed(owner, &chat_id, || {
        let delete = move |tx: &store::Tx<'_>| store::delete_branch(tx, owner, &which, &uuid, &now);
        ctx.app.store.write(delete)
    })?;
    changed(ctx, conversation).map(drop)
}

fn restore(ctx: &Ctx, Path(path): Path<MessagePath>) -> Result<ChatView<'static>, Error> {
    let (owner, which) = (ctx.user()?.id, parse(&path.message_id)?);
    let from = ctx.app.store.read(|read| {
        let deleted = store::find_deleted_branch(read, owner, &which)?;
        store::find_conversation(read, owner, &Ref::Id(deleted.from_id))
    });
    let gone = |error: Error| match error.kind() {
        Kind::NotFound => Error::new(Kind::NotFound, MISSING),
        _ => error,
    };
    let from = from.map_err(gone)?;
    let conversation = ctx.app.turns.undisturbed(owner, &from.uuid, || {
        ctx.app.store.write(move |tx| store::restore_branch(tx, owner, &which))
    });
    changed(ctx, conversation.map_err(gone)?)
}
