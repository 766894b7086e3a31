"""Any labelled image set in, one canonical form out (see ingest.py and canonical/)."""
