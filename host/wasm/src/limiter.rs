//! The memory limits of one instance.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use wsrun_contract::Limit;
use wsrun_metrics::HandlerTally;

/// Bytes that a table element takes of the host's memory.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// The most elements of all tables of an instance. Copying or filling a table cannot be
/// interrupted, and takes some 30 ns for each element. A compiler makes a table with one element
/// for each function that is called indirectly.
const TABLE_ELEMENTS_MAX: usize = 128 * 1024;

/// The most core instances, the most memories and the most tables of one component: enough for what
/// composition and adapters make.
const ITEMS_MAX: usize = 64;

/// Bounds the sum over all memories and tables of a store. wasmtime's own `StoreLimits` bounds each
/// of them alone.
#[derive(Debug)]
pub(super) struct MemoryLimiter {
    used: usize,
    limit: usize,
    /// Elements of all tables.
    elements: usize,
    /// The limit in bytes for all instances of the handler on this worker.
    total: usize,
    /// Set when an allocation was refused. The error of the trap that usually follows names it.
    refused: bool,
    /// The counters that the instance adds to. What it added is subtracted when the store is
    /// dropped.
    tally: Arc<HandlerTally>,
}

impl Drop for MemoryLimiter {
    fn drop(&mut self) {
        self.tally.memory_bytes.change(self.used, 0);
        self.tally.live_instances.change(1, 0);
    }
}

impl MemoryLimiter {
    pub(super) fn new(limit: usize, total: usize, tally: Arc<HandlerTally>) -> Self {
        tally.live_instances.change(0, 1);
        Self {
            tally,
            used: 0,
            limit,
            elements: 0,
            total,
            refused: false,
        }
    }

    /// Counts the bytes that the host holds for the instance as the handler's memory too.
    pub(super) fn begin_with(&mut self, bytes: u64) {
        self.grow(0, usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    /// Returns the bytes of all memories and tables, with those that the host holds for the
    /// instance.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Returns true when an allocation was refused since the last call.
    pub(super) fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        if used > self.limit {
            self.refused = true;
            self.tally.limits[Limit::Memory as usize].add(1);
            return false;
        }
        let others = self.tally.memory_bytes.get() - self.used;
        if used > self.used && others.saturating_add(used) > self.total {
            self.refused = true;
            self.tally.limits[Limit::HandlerMemory as usize].add(1);
            return false;
        }
        self.tally.memory_bytes.change(self.used, used);
        self.used = used;
        true
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(current, desired))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let elements = self
            .elements
            .saturating_sub(current)
            .saturating_add(desired);
        if elements > TABLE_ELEMENTS_MAX {
            self.refused = true;
            self.tally.limits[Limit::TableElements as usize].add(1);
            return Ok(false);
        }
        let grows = self.grow(
            current.saturating_mul(TABLE_ELEMENT_BYTES),
            desired.saturating_mul(TABLE_ELEMENT_BYTES),
        );
        if grows {
            self.elements = elements;
        }
        Ok(grows)
    }

    fn instances(&self) -> usize {
        ITEMS_MAX
    }

    fn tables(&self) -> usize {
        ITEMS_MAX
    }

    fn memories(&self) -> usize {
        ITEMS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_the_sum_of_memories_and_tables() {
        let mut limiter = MemoryLimiter::new(1_000, 1_000, Arc::default());
        assert!(limiter.memory_growing(0, 400, None).unwrap());
        assert!(limiter.memory_growing(0, 400, None).unwrap());
        assert!(!limiter.memory_growing(400, 700, None).unwrap());
        assert!(limiter.take_refused());
        assert!(!limiter.take_refused());
        assert!(limiter.table_growing(0, 25, None).unwrap());
        assert!(!limiter.table_growing(25, 26, None).unwrap());
    }

    #[test]
    fn tables_have_no_more_elements_than_are_copied_soon() {
        let mut limiter = MemoryLimiter::new(usize::MAX, usize::MAX, Arc::default());
        let half = TABLE_ELEMENTS_MAX / 2;
        assert!(limiter.table_growing(0, half, None).unwrap());
        assert!(limiter.table_growing(0, half - 1, None).unwrap());
        assert!(limiter.table_growing(half - 1, half, None).unwrap());
        assert!(!limiter.table_growing(half, half + 1, None).unwrap());
        assert!(limiter.take_refused());
        assert!(!limiter.table_growing(0, usize::MAX, None).unwrap());
    }
}
