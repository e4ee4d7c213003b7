-- Objects that are missing stay reported by `quayhand verify` alone.
drop table quayhand_removed;
