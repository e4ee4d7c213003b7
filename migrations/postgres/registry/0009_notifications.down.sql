-- Takes back 0009_notifications.up.sql: the tables go with everything in them.

drop table messages;
drop table tagnotificationsuccess;
drop table namespacenotification;
drop table repositorynotification;
drop table externalnotificationmethod;
drop table externalnotificationevent;
drop table notification;
drop table notificationkind;
