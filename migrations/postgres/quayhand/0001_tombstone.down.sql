-- Objects whose tombstones go with this table stay in storage until a sweep finds them without a row.
drop table quayhand_tombstone;
