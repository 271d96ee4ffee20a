//! Each source's fixture, written after its published form, comes to the same conversations each time.

use std::ops::ControlFlow;

use super::super::items::{Item, items};
use super::*;
use crate::store::PortableConversation;

/// What becomes of each conversation of a list, and the name of the program that all of it was taken for.
fn read(list: &str) -> (&'static str, Vec<Result<PortableConversation, String>>) {
    let (mut name, mut found) = ("", Vec::new());
    items(list.as_bytes(), |item| {
        let Item::Whole(bytes) = item else {
            panic!("a fixture that is too large");
        };
        let source = source_of(&fields(bytes).unwrap()).unwrap();
        name = source.name;
        let thread = (source.read)(bytes).map_err(|error| error.to_string());
        found.push(thread.and_then(|thread| {
            thread
                .into_portable(source.name)
                .map(|told| told.conversation)
                .map_err(str::to_owned)
        }));
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    (name, found)
}

/// A conversation in a few lines: for each message its place, that of the one before it, and all that it holds.
fn told(conversation: &PortableConversation) -> String {
    let place = |uuid: &String| conversation.messages.iter().position(|one| one.uuid == *uuid);
    let mut text = format!(
        "{} [{}]",
        conversation.title.as_deref().unwrap_or("-"),
        conversation.tags.join(",")
    );
    text += if conversation.is_pinned { " pinned" } else { "" };
    text += if conversation.is_archived { " archived" } else { "" };
    if let Some(prompt) = &conversation.system_prompt {
        text += &format!(" ({prompt})");
    }
    for (at, message) in conversation.messages.iter().enumerate() {
        let before = message.parent.as_ref().and_then(place);
        let before = before.map_or("-".to_owned(), |before| before.to_string());
        let mark = if conversation.leaf.as_ref() == Some(&message.uuid) {
            "*"
        } else {
            ""
        };
        text += &format!("\n{at}<{before}{mark} {} {:?}", &message.role[..1], message.content);
        let model = message.model.as_ref().map(|model| format!(" by {model}"));
        let thoughts = message
            .reasoning
            .as_ref()
            .map(|thoughts| format!(" thinking {thoughts:?}"));
        let calls = message.tool_calls.as_ref().map(|calls| format!(" calling {calls}"));
        let error = message
            .error
            .as_ref()
            .map(|error| format!(" {}: {error}", message.state));
        text.extend([model, thoughts, calls, error].into_iter().flatten());
    }
    text
}

#[track_caller]
fn check(list: &str, name: &str, expected: &[Result<&str, &str>]) {
    let (found_name, found) = read(list);
    assert_eq!(found_name, name);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(told(found), *expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{found:?} is not {expected:?}"),
        }
    }
    let again = read(list).1;
    let ids = |list: &[Result<PortableConversation, String>]| -> Vec<String> {
        let whole = list.iter().flatten();
        whole
            .flat_map(|one| std::iter::once(&one.uuid).chain(one.messages.iter().map(|message| &message.uuid)))
            .cloned()
            .collect()
    };
    assert_eq!(ids(&found), ids(&again));
}

#[test]
fn chatgpt() {
    let list = include_str!("../../../tests/data/imports/chatgpt.json");
    check(
        list,
        "ChatGPT",
        &[
            Ok("Tomatoes 🍅 on a balcony [] archived\n\
                0<- u \"What is wrong with these leaves?\\n\\n[Attached: leaves.jpg]\"\n\
                1<0 a \"Too much water.\" by gpt-4\n\
                2<0 a \"They lack potassium. Feed them.\" by o3 thinking \"**Looking**\\n\\nBrown edges.\" \
                calling [{\"name\":\"web.run\",\"arguments\":\"search('brown leaf edges')\",\"result\":\"Potassium deficiency\"}]\n\
                3<2* u \"Thanks 🙏\""),
            Ok("- []\n0<- u \"No times, no node that is current\"\n1<0* a \"Nor a model\""),
            Err("Nothing is said in it"),
            Err("expected an object"),
        ],
    );
    let first = read(list).1.remove(0).unwrap();
    assert_eq!(first.created_at, "2024-05-01T10:00:00.500000+00:00");
    assert_eq!(first.messages[0].created_at, "2024-05-01T10:00:01.000000+00:00");
}

#[test]
fn chatgpts_pictures_are_listed_by_their_whole_ids() {
    let picture = |id: &str| serde_json::json!({"content_type": "image_asset_pointer", "asset_pointer": id});
    let parts = [
        picture("file-service://file-Ab12"),
        picture("sediment://file_00ff#p"),
        picture("no id"),
    ];
    let listed = [("", "a.pdf"), ("file-Ab", "b.png"), ("file_00ff", "c.png")];
    let listed = listed.map(|(id, name)| serde_json::json!({"id": id, "name": name}));
    let message = serde_json::json!({"author": {"role": "user"}, "content": {"parts": parts}, "metadata": {"attachments": listed}});
    let list = serde_json::json!([{"mapping": {"a": {"message": message}}, "id": "x"}]);
    let names =
        "[Attached: a.pdf]\n\n[Attached: b.png]\n\n[Attached: c.png]\n\n[Attached: picture]\n\n[Attached: picture]";
    check(&list.to_string(), "ChatGPT", &[Ok(&format!("- []\n0<-* u {names:?}"))]);
}

#[test]
fn claude() {
    check(
        include_str!("../../../tests/data/imports/claude.json"),
        "Claude",
        &[
            Ok("Rhubarb jam []\n\
                0<- u \"How much sugar?\\n\\n[Attached: recipe.txt]\\n```\\n1 kg rhubarb\\n```\\n\\n[Attached: jar.png]\"\n\
                1<0* a \"Half a kilo. 🫙\" thinking \"Equal weights are usual.\" \
                calling [{\"name\":\"calculator\",\"arguments\":{\"expression\":\"1000 * 0.5\"},\"result\":\"500\"}]"),
            Ok("- []\n0<- u \"A question\"\n1<0 a \"First answer\"\n2<0* a \"Second answer\""),
            Err("Nothing is said in it"),
        ],
    );
}

#[test]
fn open_webui() {
    check(
        include_str!("../../../tests/data/imports/open-webui.json"),
        "Open WebUI",
        &[
            Ok("Bread [kitchen,bread] pinned (Answer briefly.)\n\
                0<- u \"How long does it prove?\\n\\n[Attached: dough.pdf]\"\n\
                1<0* a \"One hour, or a night in the fridge.\" by llama3.2:3b thinking \"Warm or cold?\\nSay both.\"\n\
                2<0 a \"\" by mistral failed: Model not found"),
            Ok("An old chat [] (Be kind.)\n0<- u \"Hello\"\n1<0 a \"Hello to you\"\n2<1* u \"In parts\""),
            Err("invalid type: null"),
        ],
    );
}

#[test]
fn llama_cpp() {
    check(
        include_str!("../../../tests/data/imports/llama-cpp.json"),
        "llama.cpp",
        &[Ok("Knots []\n\
              0<- u \"Which knot?\\n\\n[Attached: rope.txt]\\n```\\n8 mm\\n```\\n\\n[Attached: rope.png]\"\n\
              1<0 a \"A bowline.\" by qwen thinking \"Strong and simple.\"\n\
              2<0* a \"A figure eight. ⛵\" calling [{\"name\":\"knots\",\"arguments\":\"{}\",\"result\":\"figure eight\"}]")],
    );
}

#[test]
fn whatever_a_field_holds_a_conversation_is_read_or_refused() {
    let lists = [
        include_str!("../../../tests/data/imports/chatgpt.json"),
        include_str!("../../../tests/data/imports/claude.json"),
        include_str!("../../../tests/data/imports/open-webui.json"),
        include_str!("../../../tests/data/imports/llama-cpp.json"),
    ];
    for list in lists {
        let whole: Value = serde_json::from_str(list).unwrap();
        let first = if whole.is_array() { whole[0].clone() } else { whole };
        for odd in [
            Value::Null,
            7.into(),
            "x".into(),
            serde_json::json!([]),
            serde_json::json!({}),
        ] {
            for path in paths(&first, String::new()) {
                let mut changed = first.clone();
                *changed.pointer_mut(&path).unwrap() = odd.clone();
                let bytes = changed.to_string().into_bytes();
                if let Some(source) = source_of(&fields(&bytes[..]).unwrap())
                    && let Ok(thread) = (source.read)(&bytes)
                    && let Ok(told) = thread.into_portable(source.name)
                {
                    assert!(!told.conversation.messages.is_empty(), "{path} as {odd}");
                }
            }
        }
    }
}

/// Where every value within this one stands.
fn paths(value: &Value, at: String) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(at, value)| (at.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    let mut paths: Vec<String> = inner
        .into_iter()
        .flat_map(|(key, value)| paths(value, format!("{at}/{key}")))
        .collect();
    if !at.is_empty() {
        paths.push(at);
    }
    paths
}

#[test]
fn times_are_read_as_they_are_written() {
    #[derive(Deserialize)]
    struct At(#[serde(deserialize_with = "time")] Option<Moment>);
    let expected = Moment::parse("2024-05-01T10:00:00Z");
    for text in [
        "1714557600",
        "1714557600.0",
        "1714557600000",
        "1714557600000000",
        "\"2024-05-01T10:00:00\"",
        "\"2024-05-01T12:00:00+02:00\"",
    ] {
        let At(found) = serde_json::from_str(text).unwrap();
        assert_eq!(found, expected, "{text}");
    }
    for text in ["null", "-1", "\"soon\"", "{}", "1e300"] {
        let At(found) = serde_json::from_str(text).unwrap();
        assert!(found.is_none() || text == "1e300", "{text}");
    }
}
