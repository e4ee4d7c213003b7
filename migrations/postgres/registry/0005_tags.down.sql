-- Takes back 0005_tags.up.sql: the tables go with everything in them.

drop table tagpullstatistics;
drop table tag;
drop table tagkind;
