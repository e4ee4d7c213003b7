drop table quayhand_namespace_permission;
drop table quayhand_permission;
