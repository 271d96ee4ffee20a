//! How calls are stopped.

use std::sync::mpsc::channel;

use super::*;
use crate::models::Delta;

#[test]
fn stop_ends_a_blocked_call_at_once() {
    let half = [STREAM.as_bytes(), &chunks(&event("half"), 1000)].concat();
    let by_closing = [b"HTTP/1.1 200 OK\r\n\r\n", event("half").as_bytes()].concat();
    for (bytes, text) in [(Vec::new(), ""), (half, "half"), (by_closing, "half")] {
        let (arrived, arrival) = channel();
        let delivered = arrived.clone();
        let upstream = Upstream::start(move |_, stream| {
            stream.write_all(&bytes).unwrap();
            if bytes.is_empty() {
                arrived.send(()).unwrap();
            }
            Then::Hang
        });
        let stop = Stop::new();
        let stopper = thread::spawn({
            let stop = stop.clone();
            move || {
                arrival.recv().unwrap();
                stop.stop();
                Instant::now()
            }
        });
        let mut so_far = String::new();
        let result = upstream.client().complete(&prompt("m-1"), &stop, &mut |delta| {
            if let Delta::Text(piece) = delta {
                so_far.push_str(piece);
            }
            delivered.send(()).unwrap();
        });
        let delay = stopper.join().unwrap().elapsed();
        assert!(delay < Duration::from_millis(200), "{delay:?}");
        assert_eq!(result.unwrap_err().kind, FailureKind::Stopped);
        assert_eq!(so_far, text);
    }
}

#[test]
fn stop_between_pieces_and_before_the_call() {
    let upstream = Upstream::with(stream(&(event("one") + &event("two") + HELLO)), || Then::KeepAlive);
    let stop = Stop::new();
    let mut pieces = 0;
    let result = upstream.client().complete(&prompt("m-1"), &stop, &mut |_| {
        pieces += 1;
        stop.stop();
    });
    assert_eq!((pieces, result.unwrap_err().kind), (1, FailureKind::Stopped));
    let outcome = ask(&upstream.client(), &stop);
    assert_eq!(outcome.result.unwrap_err().kind, FailureKind::Stopped);
    assert_eq!(upstream.requests.lock().unwrap().len(), 1);
}

#[test]
fn stop_after_the_end_does_not_touch_the_pooled_connection() {
    let upstream = Upstream::with(stream(HELLO), || Then::KeepAlive);
    let client = upstream.client();
    let first = Stop::new();
    ask(&client, &first).result.unwrap();
    // The second call uses the first one's connection when that is stopped, and leaves it to the third.
    let second = client.complete(&prompt("m-1"), &Stop::new(), &mut |_| first.stop());
    second.unwrap();
    ask(&client, &Stop::new()).result.unwrap();
    assert_eq!(upstream.connections(), 1);
}
