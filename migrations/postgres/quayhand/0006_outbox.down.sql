-- What waits in it and is in no queue yet is lost with this table.
drop table quayhand_outbox;
