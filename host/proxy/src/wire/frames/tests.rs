use super::*;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

fn begun(rate: u32) -> Frames {
    let mut frames = Frames::new(rate);
    frames.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    frames
}

/// Frames of this kind that are read before they are too many, in pieces of a length.
fn endured(frame: &[u8], piece: usize) -> usize {
    let mut frames = begun(100);
    (0..1_000).take_while(|_| frame.chunks(piece).all(|part| frames.read(part).is_ok())).count()
}

#[tokio::test(start_paused = true)]
async fn what_costs_a_client_nothing_is_counted() {
    for kind in [2, 3, 4, 6, 8, 9, 16, 200] {
        for piece in [1, 4, 100] {
            assert_eq!(endured(&frame(kind, 0, 1, &[0; 5]), piece), 125, "type {kind}");
        }
    }
    assert_eq!(endured(&frame(0, 0, 1, &[]), 9), 125, "empty DATA");
    assert_eq!(endured(&frame(0, 8, 1, &[0]), 9), 125, "DATA that is padding only");
    assert_eq!(endured(&frame(0, 1, 1, &[]), 9), 1_000, "the end of a stream");
    assert_eq!(endured(&frame(0, 0, 1, &[1]), 9), 1_000, "DATA");
    assert_eq!(endured(&frame(1, 4, 1, &[1]), 9), 1_000, "HEADERS");
}

#[tokio::test(start_paused = true)]
async fn time_and_data_of_ours_earn_frames() {
    let mut frames = begun(100);
    let update = frame(8, 0, 0, &[0, 0, 1, 0]);
    for _ in 0..10 {
        (0..100).for_each(|_| frames.read(&update).unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    for _ in 0..1_000 {
        assert_eq!(frames.wrote(&frame(0, 0, 1, &[0; 16_384])), None);
        (0..8).for_each(|_| frames.read(&update).unwrap());
    }
    let reset = frame(3, 0, 1, &[0, 0, 0, 8]);
    let resets = (0..1_000).take_while(|_| frames.read(&reset).is_ok()).count();
    assert!(resets <= 125, "data earns no resets: {resets}");
}

#[test]
fn our_own_errors_are_seen() {
    let check = |bytes: &[u8], expected| {
        for piece in [1, 7, 100] {
            let mut frames = Frames::new(100);
            let seen: Vec<Refusal> =
                bytes.chunks(piece).filter_map(|part| frames.wrote(part)).collect();
            assert_eq!(seen, expected, "{bytes:?} in pieces of {piece}");
            assert!(frames.calm().is_some());
        }
    };
    check(&frame(3, 0, 1, &[0, 0, 0, 1]), vec![Refusal::Stream]);
    check(&frame(3, 0, 1, &[0, 0, 0, 8]), vec![]);
    check(&frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 11, 1, 2]), vec![Refusal::ControlFrames]);
    check(&frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 1]), vec![Refusal::Protocol]);
    check(&frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]), vec![]);
}

#[test]
fn a_goaway_stands_between_frames() {
    let mut frames = begun(100);
    frames.read(&frame(1, 4, 7, &[0])).unwrap();
    assert_eq!(frames.calm().unwrap(), *b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x07\0\0\0\x0b");
    frames.wrote(&[0, 0, 5, 0]);
    assert_eq!(frames.calm(), None);
    frames.wrote(&[0, 0, 0, 0, 1, 1, 1]);
    assert_eq!(frames.calm(), None);
    frames.wrote(&[1, 1, 1]);
    assert!(frames.calm().is_some());
    assert_eq!(frames.take_data_written(), 5);
}

#[test]
fn a_head_is_known_to_have_begun() {
    let mut frames = begun(100);
    let check = |frames: &mut Frames, bytes: &[u8], expected| {
        frames.read(bytes).unwrap();
        assert_eq!(frames.is_in_head(), expected, "{bytes:?}");
    };
    check(&mut frames, &frame(1, 0, 1, &[0]), true);
    check(&mut frames, &frame(9, 4, 1, &[0]), false);
    check(&mut frames, &[0, 0], true);
    check(&mut frames, &[2, 1, 4, 0, 0, 0, 1, 0], true);
    check(&mut frames, &[0], false);
    check(&mut frames, &[0, 0, 2, 0, 0, 0, 0, 0, 1, 7], false);
}
