//! Connections that are kept for the next call.

use std::sync::Barrier;
use std::sync::mpsc::channel;

use super::*;
use crate::models::fake_upstream::client_with;

#[test]
fn a_stale_pooled_connection_is_replaced_once() {
    // The second request finds a connection that the server closes without an answer.
    let upstream = Upstream::start(|received, stream_| {
        if received.number == 1 {
            return Then::Close;
        }
        stream_.write_all(&stream(HELLO)).unwrap();
        Then::KeepAlive
    });
    let client = upstream.client();
    for _ in 0..3 {
        ask(&client, &Stop::new()).result.unwrap();
    }
    assert_eq!(
        (upstream.connections(), upstream.requests.lock().unwrap().len()),
        (2, 4)
    );
}

#[test]
fn the_replacement_is_not_another_stale_connection() {
    // Two calls at once leave two connections in the pool. Then the server answers new ones only.
    let both = Barrier::new(2);
    let upstream = Upstream::start(move |received, stream_| {
        if received.number < 2 {
            both.wait();
        } else if received.connection < 2 {
            return Then::Close;
        }
        stream_.write_all(&stream(HELLO)).unwrap();
        Then::KeepAlive
    });
    let client = upstream.client();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| ask(&client, &Stop::new()).result.unwrap());
        }
    });
    ask(&client, &Stop::new()).result.unwrap();
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn the_end_of_the_body_is_waited_for_but_not_for_long() {
    // The last chunk comes after everything else has arrived.
    let (arrived, arrival) = channel();
    let arrival = Mutex::new(arrival);
    let upstream = Upstream::start(move |_, stream| {
        stream
            .write_all(&[STREAM.as_bytes(), &chunks(HELLO, 4000)].concat())
            .unwrap();
        arrival.lock().unwrap().recv().unwrap();
        stream.write_all(b"0\r\n\r\n").unwrap();
        Then::KeepAlive
    });
    let client = upstream.client();
    for _ in 0..2 {
        let mut seen = false;
        let result = client.complete(&prompt("m-1"), &Stop::new(), &mut |_| {
            if !std::mem::replace(&mut seen, true) {
                arrived.send(()).unwrap();
            }
        });
        result.unwrap();
    }
    assert_eq!(upstream.connections(), 1);

    // The last chunk does not come at all.
    let body = [STREAM.as_bytes(), &chunks(HELLO, 4000)].concat();
    let upstream = Upstream::with(body, || Then::Hang);
    let patient = client_with(&upstream.base_url(), Duration::from_secs(20));
    let started = Instant::now();
    ask(&patient, &Stop::new()).result.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// After a rush there may be hundreds of idle connections, and nobody to close them.
#[test]
fn connections_that_have_long_been_idle_are_let_go() {
    let upstream = Upstream::start(|received, stream_| {
        let bytes = match received.head.starts_with("POST ") {
            true => stream(&format!("{}data: [DONE]\n\n", event("Hi"))),
            false => whole("200 OK", "", r#"{"data":[]}"#).into_bytes(),
        };
        stream_.write_all(&bytes).unwrap();
        Then::KeepAlive
    });
    let client = upstream.client();
    ask(&client, &Stop::new()).result.unwrap();
    client.link.let_go();
    client.list(&Stop::new()).unwrap();
    assert_eq!(upstream.connections(), 1, "used again");
    client.link.grow_old();
    client.link.let_go();
    client.list(&Stop::new()).unwrap();
    assert_eq!(upstream.connections(), 2, "let go");
}
