//! What replies cost, and what else lists of messages show beside them.

use super::super::{Message, Page};
use super::super::{
    NewUsage, Scope, UsageDetail, delete_conversation, find_message, insert_usage, list_conversation_usage,
    list_conversations_by_age, list_reply_models, list_usage, summarise_conversation,
};
use super::*;

fn new_usage(user_id: i64, scope: Scope, price: f64) -> NewUsage {
    NewUsage {
        user_id,
        api_key: None,
        scope,
        model: "small".into(),
        input_tokens: 40,
        output_tokens: 6,
        cached_tokens: 8,
        is_estimated: scope == Scope::Title,
        price,
        created_at: at(3),
    }
}

impl Rig {
    fn spend(&self, message_id: i64, new: &NewUsage) {
        let new = new.clone();
        self.write(move |tx| insert_usage(tx, message_id, &new)).unwrap();
    }

    fn spent(&self, message_ids: &[i64]) -> Vec<UsageDetail> {
        self.read(|read| list_usage(read, message_ids)).unwrap()
    }

    fn reply(&self, conversation_id: i64, owner: i64, parent: i64, model: Option<&str>) -> i64 {
        let reply = NewMessage {
            role: Role::Assistant,
            model: model.map(Into::into),
            ..new_message(conversation_id, owner, "a reply")
        };
        self.insert(reply, Some(parent)).unwrap()
    }

    fn found(&self, owner: i64, which: Ref) -> Result<Message, Error> {
        self.read(|read| find_message(read, owner, &which).map(|(message, _)| message))
    }
}

#[test]
fn usage_is_read_as_it_was_written() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let conversation = rig.conversation(ann, 1);
    let question = rig.message(conversation, ann, "q");
    let reply = rig.reply(conversation, ann, question, Some("small"));
    let scopes = [Scope::Title, Scope::Intent, Scope::Summary, Scope::Tool, Scope::Final];
    for scope in scopes {
        rig.spend(reply, &new_usage(ann, scope, 6.4e-6));
    }
    let spent = rig.spent(&[question, reply]);
    let names: Vec<&str> = spent.iter().map(|detail| detail.scope.name()).collect();
    assert_eq!(names, ["title", "intent", "summary", "tool", "final"]);
    let first = UsageDetail {
        id: spent[0].id,
        message_id: reply,
        scope: Scope::Title,
        model: "small".into(),
        input_tokens: 40,
        output_tokens: 6,
        cached_tokens: 8,
        is_estimated: true,
        price: 6.4e-6,
        created_at: at(3),
    };
    assert_eq!(spent[0], first);
    assert!(!spent[4].is_estimated);
    assert_eq!(rig.spent(&[question]), []);
    assert_eq!(rig.spent(&[]), []);
}

#[test]
fn a_conversation_is_accounted_for_on_all_branches() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let [one, other] = [rig.conversation(ann, 1), rig.conversation(ann, 2)];
    let question = rig.message(one, ann, "q");
    let shown = rig.reply(one, ann, question, Some("small"));
    let regenerated = rig.reply(one, ann, question, Some("small"));
    let elsewhere = rig.message(other, ann, "q");
    for (message, price) in [(regenerated, 3.0), (elsewhere, 4.0), (shown, 1.0), (shown, 2.0)] {
        rig.spend(message, &new_usage(ann, Scope::Final, price));
    }
    let prices = |conversation| -> Vec<f64> {
        let details = rig.read(|read| list_conversation_usage(read, conversation)).unwrap();
        details.iter().map(|detail| detail.price).collect()
    };
    assert_eq!(prices(one), [3.0, 1.0, 2.0]);
    assert_eq!(prices(other), [4.0]);
    assert!(prices(other + 1).is_empty());
}

#[test]
fn a_message_is_found_by_its_owner_until_its_conversation_goes() {
    let rig = Rig::new();
    let [ann, ben] = ["ann", "ben"].map(|name| rig.user(name).id);
    let conversation = rig.conversation(ann, 1);
    let id = rig.message(conversation, ann, "mine");
    let message = rig.found(ann, Ref::Id(id)).unwrap();
    assert_eq!(
        (message.content.as_str(), message.conversation_id),
        ("mine", conversation)
    );
    let uuid = Ref::Uuid(message.uuid);
    assert_eq!(rig.found(ann, uuid.clone()).unwrap().id, id);
    check_kind(rig.found(ben, Ref::Id(id)), Kind::NotFound);
    check_kind(rig.found(ben, uuid.clone()), Kind::NotFound);
    check_kind(rig.found(ann, Ref::Id(id + 1)), Kind::NotFound);
    rig.write(move |tx| delete_conversation(tx, ann, &Ref::Id(conversation), &at(9)))
        .unwrap();
    check_kind(rig.found(ann, uuid), Kind::NotFound);
}

#[test]
fn the_newest_reply_tells_which_model_answered() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let conversation = rig.conversation(ann, 1);
    let question = rig.message(conversation, ann, "q");
    rig.reply(conversation, ann, question, Some("old"));
    rig.reply(conversation, ann, question, Some("new"));
    rig.reply(conversation, ann, question, None);
    let unanswered = rig.message(conversation, ann, "and?");
    let models = rig
        .read(|read| list_reply_models(read, &[question, unanswered]))
        .unwrap();
    assert_eq!(models, [(question, "old".to_owned()), (question, "new".to_owned())]);
}

#[test]
fn conversations_by_age_stay_in_their_order() {
    let rig = Rig::new();
    let [ann, ben] = ["ann", "ben"].map(|name| rig.user(name).id);
    let ids: Vec<i64> = (0..4).map(|seconds| rig.conversation(ann, seconds)).collect();
    rig.conversation(ben, 9);
    rig.message(ids[0], ann, "the most recent activity");
    let gone = ids[2];
    rig.write(move |tx| delete_conversation(tx, ann, &Ref::Id(gone), &at(9)))
        .unwrap();
    let list = |limit, offset| -> Vec<i64> {
        let page = Page { limit, offset };
        let found = rig.read(|read| list_conversations_by_age(read, ann, page)).unwrap();
        found.iter().map(|conversation| conversation.id).collect()
    };
    assert_eq!(list(10, 0), [ids[3], ids[1], ids[0]]);
    assert_eq!(list(1, 1), [ids[1]]);
}

#[test]
fn a_summary_is_kept_once_there_is_one() {
    let rig = Rig::new();
    let ann = rig.user("ann").id;
    let id = rig.conversation(ann, 1);
    let summary = || {
        let found = rig.read(|read| find_conversation(read, ann, &Ref::Id(id)));
        found.unwrap().summary
    };
    assert_eq!(summary(), None);
    for text in ["first", "second"] {
        rig.write(move |tx| summarise_conversation(tx, id, text)).unwrap();
        assert_eq!(summary().as_deref(), Some("first"));
    }
}

#[test]
fn sums_end_with_their_day() {
    use super::super::{UsageBy, UsageOf, UsageRange, sum_usage};
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    for (owner, when, model) in [
        (ann.id, "2026-01-01T23:59:59.999999+00:00", "a"),
        (ann.id, "2026-01-02T00:00:00.000000+00:00", "a"),
        (ann.id, "2026-01-02T12:00:00.000000+00:00", "b"),
        (ann.id, "2026-01-03T00:00:00.000000+00:00", "a"),
        (bob.id, "2026-01-02T00:00:00.000000+00:00", "a"),
    ] {
        rig.batch(&format!(
            "INSERT INTO usage_details (user_id, scope, model, input_tokens, output_tokens, cached_tokens, price, created_at)
             VALUES ({owner}, 'final', '{model}', 1, 2, 3, 0.1, '{when}')"
        ));
    }
    let sums = |of, from: &str, to: &str, by| {
        let midnight = |day: &str| format!("{day}T00:00:00.000000+00:00");
        let range = UsageRange {
            from: midnight(from),
            to: midnight(to),
        };
        let sums = rig.read(|read| sum_usage(read, of, &range, by)).unwrap();
        sums.into_iter()
            .map(|sum| (sum.label, sum.calls, sum.output_tokens, sum.price))
            .collect::<Vec<_>>()
    };
    let day = |label: &str, calls, price| (label.to_owned(), calls, 2 * calls, price);
    let of = UsageOf::User(ann.id);
    assert_eq!(
        sums(of, "2026-01-02", "2026-01-03", UsageBy::Day),
        [day("2026-01-02", 2, 0.2)]
    );
    assert_eq!(
        sums(of, "2026-01-01", "2026-01-04", UsageBy::Day),
        [
            day("2026-01-01", 1, 0.1),
            day("2026-01-02", 2, 0.2),
            day("2026-01-03", 1, 0.1)
        ]
    );
    assert_eq!(
        sums(UsageOf::Everybody, "2026-01-02", "2026-01-03", UsageBy::Model),
        [day("a", 2, 0.2), day("b", 1, 0.1)]
    );
}
