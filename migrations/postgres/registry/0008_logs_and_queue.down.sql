-- Takes back 0008_logs_and_queue.up.sql: the tables go with everything in them.

drop table queueitem;
drop table logentry3;
drop table logentry2;
drop table logentry;
drop table logentrykind;
