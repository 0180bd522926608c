//! Topics: named sets of subscribers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The longest topic name, in bytes of UTF-8.
pub const TOPIC_NAME_BYTES_MAX: usize = 256;

/// The reason why a subscription was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The name is empty or longer than [`TOPIC_NAME_BYTES_MAX`].
    #[error("topic name is empty or longer than {TOPIC_NAME_BYTES_MAX} bytes")]
    InvalidName,
    /// The subscriber has reached [`TopicLimits::subscriptions_max`].
    #[error("too many subscriptions of one connection")]
    SubscriptionLimit,
    /// The table has reached [`TopicLimits::topics_max`].
    #[error("too many topics")]
    TopicLimit,
}

/// The limits of one [`Topics`] table.
#[derive(Clone, Copy, Debug)]
pub struct TopicLimits {
    /// The most topics with at least one subscriber, 100,000 by default. One more is refused with
    /// [`SubscribeError::TopicLimit`].
    pub topics_max: usize,
    /// The most subscriptions of one subscriber, 64 by default. One more is refused with
    /// [`SubscribeError::SubscriptionLimit`].
    pub subscriptions_max: usize,
}

impl Default for TopicLimits {
    fn default() -> Self {
        Self {
            topics_max: 100_000,
            subscriptions_max: 64,
        }
    }
}

/// The table of topics and their subscribers. A topic exists while it has a subscriber.
#[derive(Debug, Default)]
pub struct Topics {
    limits: TopicLimits,
    // The sets are ordered, so that fan-out follows the subscribers' numbers and is the same on
    // every run.
    subscribers: HashMap<Arc<str>, BTreeSet<u64>>,
    subscriptions: BTreeMap<u64, BTreeSet<Arc<str>>>,
}

impl Topics {
    /// Makes an empty table.
    pub fn new(limits: TopicLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Checks whether `subscribe` would succeed if this subscriber had `own` more (or fewer)
    /// subscriptions and the table had `added` more topics.
    ///
    /// # Errors
    ///
    /// Those of [`Topics::subscribe`].
    pub fn check(
        &self,
        subscriber: u64,
        topic: &str,
        own: isize,
        added: usize,
    ) -> Result<(), SubscribeError> {
        if topic.is_empty() || topic.len() > TOPIC_NAME_BYTES_MAX {
            return Err(SubscribeError::InvalidName);
        }
        if self.is_subscribed(subscriber, topic) {
            return Ok(());
        }
        let mine = self.subscriptions.get(&subscriber).map_or(0, BTreeSet::len);
        if mine.saturating_add_signed(own) >= self.limits.subscriptions_max {
            return Err(SubscribeError::SubscriptionLimit);
        }
        if !self.subscribers.contains_key(topic)
            && self.subscribers.len() + added >= self.limits.topics_max
        {
            return Err(SubscribeError::TopicLimit);
        }
        Ok(())
    }

    /// Subscribes, and returns `false` if the subscription existed already.
    ///
    /// # Errors
    ///
    /// Fails if the name is not allowed or a limit is reached. The table is unchanged then.
    pub fn subscribe(&mut self, subscriber: u64, topic: &str) -> Result<bool, SubscribeError> {
        self.check(subscriber, topic, 0, 0)?;
        if self.is_subscribed(subscriber, topic) {
            return Ok(false);
        }
        let name: Arc<str> = match self.subscribers.get_key_value(topic) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(topic),
        };
        self.subscribers
            .entry(Arc::clone(&name))
            .or_default()
            .insert(subscriber);
        self.subscriptions
            .entry(subscriber)
            .or_default()
            .insert(name);
        Ok(true)
    }

    /// Ends a subscription, and returns `false` if there was none.
    pub fn unsubscribe(&mut self, subscriber: u64, topic: &str) -> bool {
        let Some(mine) = self.subscriptions.get_mut(&subscriber) else {
            return false;
        };
        if !mine.remove(topic) {
            return false;
        }
        if mine.is_empty() {
            self.subscriptions.remove(&subscriber);
        }
        self.remove_subscriber(subscriber, topic);
        true
    }

    /// Ends every subscription of one subscriber.
    pub fn unsubscribe_all(&mut self, subscriber: u64) {
        for topic in self.subscriptions.remove(&subscriber).unwrap_or_default() {
            self.remove_subscriber(subscriber, &topic);
        }
    }

    /// Returns true if this subscription exists.
    pub fn is_subscribed(&self, subscriber: u64, topic: &str) -> bool {
        self.subscriptions
            .get(&subscriber)
            .is_some_and(|mine| mine.contains(topic))
    }

    /// Returns the subscribers of a topic, in ascending order.
    pub fn subscribers(&self, topic: &str) -> impl Iterator<Item = u64> + '_ {
        self.subscribers.get(topic).into_iter().flatten().copied()
    }

    /// Returns the topics of one subscriber.
    pub fn subscriptions(&self, subscriber: u64) -> impl Iterator<Item = &str> {
        let mine = self.subscriptions.get(&subscriber);
        mine.into_iter().flatten().map(|topic| &**topic)
    }

    /// Counts the subscribers of a topic.
    pub fn count(&self, topic: &str) -> usize {
        self.subscribers.get(topic).map_or(0, BTreeSet::len)
    }

    /// Counts the topics.
    pub fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Returns true if there is no topic.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    fn remove_subscriber(&mut self, subscriber: u64, topic: &str) {
        if let Some(set) = self.subscribers.get_mut(topic) {
            set.remove(&subscriber);
            if set.is_empty() {
                self.subscribers.remove(topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_exists_while_it_has_a_subscriber() {
        let mut topics = Topics::default();
        assert_eq!(topics.subscribe(1, "a"), Ok(true));
        assert_eq!(topics.subscribe(1, "a"), Ok(false));
        assert_eq!(topics.subscribe(2, "a"), Ok(true));
        assert_eq!(topics.subscribers("a").collect::<Vec<_>>(), [1, 2]);
        assert!(topics.unsubscribe(1, "a"));
        assert!(!topics.unsubscribe(1, "a"));
        topics.unsubscribe_all(2);
        assert!(topics.is_empty());
        assert_eq!(topics.count("a"), 0);
    }

    #[test]
    fn limits_refuse_one_more_and_leave_the_rest() {
        let mut topics = Topics::new(TopicLimits {
            topics_max: 2,
            subscriptions_max: 2,
        });
        assert_eq!(topics.subscribe(1, "a"), Ok(true));
        assert_eq!(topics.subscribe(1, "b"), Ok(true));
        assert_eq!(
            topics.subscribe(1, "c"),
            Err(SubscribeError::SubscriptionLimit)
        );
        assert_eq!(topics.subscribe(2, "c"), Err(SubscribeError::TopicLimit));
        assert_eq!(topics.subscribe(2, "a"), Ok(true));
        assert_eq!(topics.subscribe(2, ""), Err(SubscribeError::InvalidName));
        assert_eq!(
            topics.subscribe(2, &"x".repeat(257)),
            Err(SubscribeError::InvalidName)
        );
        topics.unsubscribe_all(1);
        assert_eq!(topics.subscribe(2, &"x".repeat(256)), Ok(true));
        assert_eq!(topics.len(), 2);
    }

    /// Compares every operation with a plain set of pairs, over a fixed pseudo-random sequence.
    #[test]
    fn table_agrees_with_a_set_of_pairs() {
        let mut topics = Topics::default();
        let mut model: BTreeSet<(u64, String)> = BTreeSet::new();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let subscriber = seed % 7;
            let topic = format!("t{}", (seed >> 8) % 5);
            match (seed >> 16) % 5 {
                0 | 1 => assert_eq!(
                    topics.subscribe(subscriber, &topic),
                    Ok(model.insert((subscriber, topic)))
                ),
                2 | 3 => assert_eq!(
                    topics.unsubscribe(subscriber, &topic),
                    model.remove(&(subscriber, topic))
                ),
                _ => {
                    topics.unsubscribe_all(subscriber);
                    model.retain(|(s, _)| *s != subscriber);
                }
            }
            for t in 0..5 {
                let name = format!("t{t}");
                let expected: Vec<u64> = model
                    .iter()
                    .filter(|(_, n)| *n == name)
                    .map(|(s, _)| *s)
                    .collect();
                assert_eq!(topics.subscribers(&name).collect::<Vec<_>>(), expected);
            }
        }
    }
}
