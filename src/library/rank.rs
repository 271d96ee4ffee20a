//! Which chunks answer a question best, from what the index says about each of its words.
//!
//! This is BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) with the weight for rare words
//! counted over the asker's own chunks, in the form that is never negative: in a small library a word may well stand in
//! half of the chunks.

use std::collections::HashMap;

use crate::store::Hit;

/// How much a chunk gains by holding many of the question's words instead of one of them often.
const BREADTH: f64 = 1.0;

/// A chunk and how well it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ranked {
    pub(super) chunk_id: i64,
    pub(super) score: f64,
}

/// Ranks the chunks of a library of `chunk_count`, best first. `hits` has one list for each word.
pub(super) fn rank(hits: &[Vec<Hit>], chunk_count: i64) -> Vec<Ranked> {
    #[expect(clippy::cast_precision_loss, reason = "counts of chunks are far below 2^52")]
    let rarity = |found: usize| {
        let (all, found) = (chunk_count as f64, found as f64);
        (1.0 + ((all - found).max(0.0) + 0.5) / (found + 0.5)).ln()
    };
    let weights: Vec<f64> = hits.iter().map(|found| rarity(found.len())).collect();
    // What a chunk that held every word could weigh.
    let whole: f64 = weights.iter().sum();
    let mut sums: HashMap<i64, (f64, f64)> = HashMap::new();
    for (found, weight) in hits.iter().zip(&weights) {
        for hit in found {
            let (score, held) = sums.entry(hit.chunk_id).or_default();
            *score += weight * hit.saturation;
            *held += weight;
        }
    }
    let mut ranked: Vec<Ranked> = sums
        .into_iter()
        .map(|(chunk_id, (score, held))| Ranked {
            chunk_id,
            score: score * (1.0 + BREADTH * held / whole.max(f64::MIN_POSITIVE)),
        })
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk_id.cmp(&b.chunk_id)));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(chunks: &[(i64, f64)]) -> Vec<Hit> {
        let hit = |&(chunk_id, saturation): &(i64, f64)| Hit { chunk_id, saturation };
        chunks.iter().map(hit).collect()
    }

    fn order(hits: &[Vec<Hit>], chunk_count: i64) -> Vec<i64> {
        rank(hits, chunk_count).iter().map(|ranked| ranked.chunk_id).collect()
    }

    #[test]
    fn rare_words_count_more() {
        let common = hits(&[(1, 0.5), (2, 0.5), (3, 0.5)]);
        let rare = hits(&[(4, 0.5)]);
        assert_eq!(order(&[common, rare], 10), [4, 1, 2, 3]);
    }

    #[test]
    fn two_words_count_more_than_one_often() {
        let one = hits(&[(1, 0.9), (2, 0.45)]);
        let other = hits(&[(2, 0.45), (3, 0.2)]);
        assert_eq!(order(&[one, other], 10), [2, 1, 3]);
    }

    #[test]
    fn a_word_in_every_chunk_still_counts() {
        let ranked = rank(&[hits(&[(7, 0.5)])], 1);
        assert!(ranked[0].score > 0.0);
        assert_eq!(order(&[hits(&[(1, 0.2), (2, 0.5)])], 3), [2, 1]);
        assert!(rank(&[], 0).is_empty());
    }
}
