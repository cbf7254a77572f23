import type { EngineContext } from '../engine/engine-context.ts';
import { Jobs } from '../engine/jobs.ts';
import { removeLeftovers } from '../engine/unseen-place.ts';
import type { Logger } from '../observability/logger.ts';

/** Begins to look after long work; what an earlier process of the instance left of its own is cleared away. */
export function openJobs(engine: EngineContext, bootId: string, log: Logger): Jobs {
  const onFailure = (error: unknown): void => log.error({ err: error }, 'a job could not be written down');
  const jobs = new Jobs({ ...engine, bootId, onFailure });
  jobs.start();
  // In the background: a large tree takes its time, and nobody sees it.
  removeLeftovers(engine).catch((error) => log.error({ err: error }, 'unfinished copies could not be removed'));
  return jobs;
}
