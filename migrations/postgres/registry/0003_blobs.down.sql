-- Takes back 0003_blobs.up.sql: the tables go with everything in them.

drop table userregion;
drop table blobupload;
drop table uploadedblob;
drop table imagestoragesignature;
drop table imagestorageplacement;
drop table imagestorage;
drop table imagestoragesignaturekind;
drop table imagestoragetransformation;
drop table imagestoragelocation;
