//! Properties of the frame.

use proptest::prelude::*;

use super::*;

fn decode_all(decoder: &mut AmpDecoder) -> Result<Vec<Vec<Bytes>>, AmpError> {
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame()? {
        frames.push(frame);
    }
    Ok(frames)
}

fn blobs(arguments: &[Vec<u8>]) -> Vec<Arg<'_>> {
    arguments.iter().map(|argument| Arg::Blob(argument)).collect()
}

/// Arguments that can be sent: the last one is never empty.
fn arguments() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..=MAX_ARGS)
        .prop_filter("last argument is empty", |arguments| arguments.last().is_none_or(|last| !last.is_empty()))
}

proptest! {
    #[test]
    fn frames_cut_anywhere_decode_the_same(
        frames in prop::collection::vec(arguments(), 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|frame| encode(&blobs(frame)).unwrap()).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut decoder = AmpDecoder::new();
        let mut decoded = Vec::new();
        for piece in cuts.windows(2) {
            decoder.push(&stream[piece[0]..piece[1]]);
            decoded.extend(decode_all(&mut decoder).unwrap());
        }
        prop_assert_eq!(decoded, frames);
    }

    #[test]
    fn texts_come_back(text in ".*", json in ".*") {
        let frame = encode(&[Arg::Text((&*text).into()), Arg::Json((&*json).into())]).unwrap();
        let mut decoder = AmpDecoder::new();
        decoder.push(&frame);
        let arguments = decoder.next_frame().unwrap().unwrap();
        prop_assert_eq!(Arg::read(&arguments[0]), Arg::Text((&*text).into()));
        prop_assert_eq!(Arg::read(&arguments[1]), Arg::Json((&*json).into()));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused_within_bounds(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
    ) {
        let pushed: usize = pieces.iter().map(Vec::len).sum();
        let mut decoder = AmpDecoder::new();
        for piece in &pieces {
            decoder.push(piece);
            for frame in decode_all(&mut decoder).unwrap_or_default() {
                for argument in &frame {
                    let _ = Arg::read(argument);
                }
            }
            prop_assert!(decoder.buffer.capacity() <= 2 * pushed + 64, "a length is never believed");
            prop_assert!(decoder.ends.capacity() <= 2 * MAX_ARGS);
        }
    }
}

#[test]
fn one_byte_at_a_time_gives_the_frame_with_its_last_byte() {
    let frame = encode(&[Arg::Text("topic".into()), Arg::Json("{}".into())]).unwrap();
    let mut decoder = AmpDecoder::new();
    for (index, byte) in frame.iter().enumerate() {
        decoder.push(&[*byte]);
        assert_eq!(decoder.next_frame().unwrap().is_some(), index + 1 == frame.len(), "byte {index}");
    }
}

#[test]
fn a_length_of_4_gib_is_refused_at_once_and_nothing_is_allocated_for_it() {
    let mut decoder = AmpDecoder::new();
    decoder.push(&[0x11, 0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(decoder.next_frame(), Err(AmpError::ArgumentTooLarge { length: 0xffff_ffff })));
    decoder.push(&[0x10; 1000]);
    assert!(decoder.next_frame().unwrap().is_none(), "a failed stream stays failed");
    assert_eq!(decoder.buffer.capacity(), 0);
}

#[test]
fn the_largest_argument_passes_and_one_byte_more_does_not() {
    let largest = u32::try_from(MAX_ARG_BYTES).unwrap();
    for (length, fits) in [(largest, true), (largest + 1, false)] {
        let mut decoder = AmpDecoder::new();
        decoder.push(&[0x11]);
        decoder.push(&length.to_be_bytes());
        assert_eq!(decoder.next_frame().is_ok(), fits);
    }
    assert!(matches!(encode(&[Arg::Blob(&vec![0; MAX_ARG_BYTES + 1])]), Err(AmpError::ArgumentTooLarge { .. })));
}

#[test]
fn a_frame_of_many_large_arguments_is_refused_before_they_arrive() {
    let half = vec![1; MAX_ARG_BYTES / 2 + (1 << 20)];
    let mut decoder = AmpDecoder::new();
    decoder.push(&[0x12]);
    decoder.push(&u32::try_from(half.len()).unwrap().to_be_bytes());
    decoder.push(&half);
    decoder.push(&u32::try_from(half.len()).unwrap().to_be_bytes());
    assert!(matches!(decoder.next_frame(), Err(AmpError::FrameTooLarge { .. })));
    assert!(matches!(encode(&[Arg::Blob(&half), Arg::Blob(&half)]), Err(AmpError::FrameTooLarge { .. })));
}

#[test]
fn the_memory_of_a_large_frame_is_given_back() {
    let mut decoder = AmpDecoder::new();
    decoder.push(&encode(&[Arg::Blob(&vec![1; 3 << 20])]).unwrap());
    assert_eq!(decoder.next_frame().unwrap().unwrap()[0].len(), 3 << 20);
    assert!(decoder.buffer.capacity() <= KEEP_BYTES);
}

#[test]
fn what_the_wire_cannot_express_is_refused() {
    let sixteen = vec![Arg::Text("a".into()); 16];
    assert!(matches!(encode(&sixteen), Err(AmpError::TooManyArguments { .. })));
    assert!(encode(&sixteen[1..]).is_ok());
    assert!(matches!(encode(&[Arg::Text("a".into()), Arg::Blob(b"")]), Err(AmpError::EmptyLastArgument)));
    assert!(encode(&[Arg::Blob(b""), Arg::Text("".into())]).is_ok(), "an empty text has its tag");
}

#[test]
fn the_version_is_ignored_and_an_empty_last_argument_is_handed_out_at_once() {
    let mut decoder = AmpDecoder::new();
    decoder.push(&[0xf1, 0, 0, 0, 0]);
    assert_eq!(decoder.next_frame().unwrap().unwrap(), [Bytes::new()]);
}

#[test]
fn a_value_that_cannot_be_json_leaves_the_frame_usable() {
    let mut frame = Frame::with_capacity(0);
    frame.text("a").unwrap();
    let no_key = std::collections::BTreeMap::from([(vec![1], 1)]);
    assert!(matches!(frame.json(&no_key), Err(AmpError::Json(_))));
    frame.json(&7).unwrap();
    assert_eq!(frame.finish().unwrap(), encode(&[Arg::Text("a".into()), Arg::Json("7".into())]).unwrap());
}

#[test]
fn bytes_that_are_no_utf8_become_replacement_characters() {
    assert_eq!(Arg::read(b"s:a\xff"), Arg::Text("a\u{fffd}".into()));
    assert_eq!(Arg::read(b"i:7"), Arg::Blob(b"i:7"));
}
