-- The last statement of the script: the worker starts when it commits.

SELECT integration_worker.start();
