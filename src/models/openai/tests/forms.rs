//! The forms that answers come in: reasoning and calls of tools, from servers that each do it their own way.

use serde_json::{Value, json};

use super::super::super::failure::FailureKind;
use super::super::super::fake_upstream::{Outcome, Then, Upstream, ask, stream, whole};
use super::super::super::{Stop, Usage};

/// What a server says whose stream has these chunks.
fn streamed(chunks: &[Value]) -> Outcome {
    let events: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    let upstream = Upstream::with(stream(&(events + "data: [DONE]\n\n")), || Then::Close);
    ask(&upstream.client(), &Stop::new())
}

fn delta(delta: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

fn end(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// The id, name and arguments of each call.
fn calls(outcome: &Outcome) -> Vec<(&str, &str, &str)> {
    outcome
        .calls
        .iter()
        .map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str()))
        .collect()
}

/// The calls that are put together from these lists of pieces.
#[track_caller]
fn check_calls(pieces: &[Value], wanted: &[(&str, &str, &str)]) {
    let mut chunks: Vec<Value> = pieces
        .iter()
        .map(|pieces| delta(&json!({"tool_calls": pieces})))
        .collect();
    chunks.push(end("tool_calls"));
    let outcome = streamed(&chunks);
    assert_eq!(calls(&outcome), wanted);
    let completion = outcome.result.unwrap();
    assert_eq!(completion.finish_reason.as_deref(), Some("tool_calls"));
}

#[test]
fn calls_are_put_together() {
    // OpenAI.
    check_calls(
        &[
            json!([{"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}}]),
            json!([{"index": 0, "function": {"arguments": "{\"a\": "}}]),
            json!([{"index": 0, "function": {"arguments": "1}"}}]),
            json!([{"index": 1, "id": "c2", "function": {"name": "now", "arguments": ""}}]),
        ],
        &[("c1", "add", "{\"a\": 1}"), ("c2", "now", "{}")],
    );
    // Gemini: everything is the first call.
    check_calls(
        &[
            json!([{"index": 0, "id": "c1", "function": {"name": "add", "arguments": "{}"}}]),
            json!([{"index": 0, "id": "c2", "function": {"name": "add", "arguments": "{}"}}]),
        ],
        &[("c1", "add", "{}"), ("c2", "add", "{}")],
    );
    // vLLM: every piece has an id of its own.
    check_calls(
        &[
            json!([{"index": 0, "id": "c1", "function": {"name": "add", "arguments": "{\"a\""}}]),
            json!([{"index": 0, "id": "c2", "function": {"arguments": ": 1}"}}]),
        ],
        &[("c1", "add", "{\"a\": 1}")],
    );
    // Neither index nor id, and the arguments as an object.
    check_calls(
        &[json!([{"function": {"name": "add", "arguments": {"a": 1}}}, {"function": {"name": "add"}}])],
        &[("call_1", "add", "{\"a\":1}"), ("call_2", "add", "{}")],
    );
}

#[test]
fn a_call_is_delivered_when_it_is_whole() {
    let first = json!({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "add", "arguments": "{}"}}]});
    let second = json!({"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "add", "arguments": "{\"a"}}]});
    let events: String = [first, second]
        .iter()
        .map(|piece| format!("data: {}\n\n", delta(piece)))
        .collect();
    let upstream = Upstream::with(stream(&events), || Then::Close);
    let outcome = ask(&upstream.client(), &Stop::new());
    assert_eq!(calls(&outcome), [("c1", "add", "{}")]);
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::Broken);
}

#[test]
fn calls_are_bounded() {
    let nameless = streamed(&[
        delta(&json!({"tool_calls": [{"index": 0, "id": "c1", "function": {"arguments": "{}"}}]})),
        end("stop"),
    ]);
    assert!(nameless.calls.is_empty());
    let failure = nameless.result.unwrap_err();
    assert_eq!(failure.message, "openai called a tool without naming it");

    let one = |index: usize| json!({"index": index, "function": {"name": "add", "arguments": "{}"}});
    let many: Vec<Value> = (0..200).map(one).collect();
    let outcome = streamed(&[delta(&json!({ "tool_calls": many })), end("stop")]);
    assert_eq!(outcome.calls.len(), 128);
    assert!(outcome.result.unwrap_err().message.contains("more than 128 tools"));

    let piece =
        delta(&json!({"tool_calls": [{"index": 0, "function": {"name": "add", "arguments": "x".repeat(512 * 1024)}}]}));
    let endless: Vec<Value> = std::iter::repeat_n(piece, 20).collect();
    // Each of these is the same call: it has an index, and no id.
    let outcome = streamed(&endless);
    assert!(outcome.calls.is_empty());
    assert!(outcome.result.unwrap_err().message.contains("does not end"));
}

#[test]
fn the_older_form_of_a_call() {
    let outcome = streamed(&[
        delta(&json!({"content": null, "function_call": {"name": "add", "arguments": ""}})),
        delta(&json!({"function_call": {"arguments": "{\"a\": 1}"}})),
        end("function_call"),
    ]);
    assert_eq!(calls(&outcome), [("call_1", "add", "{\"a\": 1}")]);
}

#[test]
fn calls_in_an_answer_of_one_piece() {
    let message = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}},
        {"id": "c2", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    ]});
    let body = json!({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).to_string();
    let bytes = whole("200 OK", "content-type: application/json\r\n", &body);
    let outcome = ask(&Upstream::with(bytes, || Then::Close).client(), &Stop::new());
    assert_eq!(calls(&outcome), [("c1", "add", "{}"), ("c2", "add", "{}")]);
    outcome.result.unwrap();
}

#[test]
fn reasoning_under_every_name() {
    let thinking = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]);
    for thought in [
        json!({"reasoning_content": "Hm.", "content": null}),
        json!({"reasoning": "Hm.", "content": ""}),
        json!({"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}),
        json!({"content": "<think>Hm.</th"}),
        json!({ "content": thinking }),
    ] {
        let mut chunks = vec![delta(&thought)];
        if thought["content"].is_string() && thought["content"] != "" {
            chunks.push(delta(&json!({"content": "ink>\n\n"})));
        }
        chunks.push(delta(&json!({"content": [{"type": "text", "text": "Yes"}]})));
        chunks.push(delta(&json!({"content": "."})));
        chunks.push(end("stop"));
        let outcome = streamed(&chunks);
        assert_eq!(
            (outcome.reasoning.as_str(), outcome.text.as_str()),
            ("Hm.", "Yes."),
            "{thought}"
        );
        outcome.result.unwrap();
    }
    let refused = streamed(&[delta(&json!({"refusal": "No."})), end("stop")]);
    assert_eq!(refused.text, "No.");
}

#[test]
fn what_is_newer_than_this_is_passed_over() {
    for content in [
        json!(true),
        json!(-1),
        json!(1),
        json!(0.5),
        json!({"type": "text", "parts": [{"text": "No"}]}),
        json!([]),
        json!(["No", null, 1, [{"text": "No"}], {"text": 1}, {"type": "picture", "url": "No"}]),
    ] {
        let outcome = streamed(&[
            delta(&json!({ "content": content, "reasoning": content })),
            delta(&json!({"content": [{"text": "Y"}, 1, {"text": "es"}]})),
            end("stop"),
        ]);
        assert_eq!(
            (outcome.reasoning.as_str(), outcome.text.as_str()),
            ("", "Yes"),
            "{content}"
        );
        outcome.result.unwrap();
    }
}

#[test]
fn what_was_held_back_is_kept_when_the_stream_breaks() {
    let event = |text: &str| format!("data: {}\n\n", delta(&json!({ "content": text })));
    let upstream = Upstream::with(stream(&event("<thin")), || Then::Close);
    let outcome = ask(&upstream.client(), &Stop::new());
    assert_eq!(outcome.text, "<thin");
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::Broken);
}

#[test]
fn deepseek_counts_the_cached_tokens_under_another_name() {
    let usage =
        json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 8}});
    let outcome = streamed(&[delta(&json!({"content": "Hi"})), end("stop"), usage]);
    let wanted = Usage {
        input_tokens: 9,
        output_tokens: 4,
        cached_tokens: 8,
        estimated: false,
    };
    assert_eq!(outcome.result.unwrap().usage, wanted);
}
