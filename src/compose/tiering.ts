/** The tiering of an instance, from its configuration. */
import type { Config } from '../config/config.ts';
import { parsePathPattern } from '../core/path-pattern.ts';
import type { EngineContext } from '../engine/engine-context.ts';
import { keepTiering } from '../engine/keep-tiering.ts';
import { moveToBackend } from '../engine/move-to-backend.ts';
import { type TierReport, tierFiles } from '../engine/tier-files.ts';
import type { TierRule } from '../engine/tier-rules.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';

export function tierRules({ tiering }: Config): readonly TierRule[] {
  return tiering.map(({ match, older_than: olderThanMs, larger_than: largerThan, to }) => {
    return { matches: parsePathPattern(match), olderThanMs, largerThanBytes: largerThan ?? undefined, to };
  });
}

interface TieringParts {
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Moves files in the background until it is disposed; without rules it does nothing. */
export function openTiering(config: Config, engine: EngineContext, { log, metrics }: TieringParts): AsyncDisposable {
  const rules = tierRules(config);
  if (rules.length === 0) return new AsyncDisposableStack();
  const { every: everyMs, rate, parallel } = config.tiering_rounds;
  const onMoved: Parameters<typeof tierFiles>[1]['onMoved'] = ({ entry }, to) => {
    metrics.tieredFiles.inc({ to });
    metrics.tieredBytes.inc({ to }, entry.sizeBytes);
  };
  const round = async (signal: AbortSignal): Promise<TierReport> => {
    const startedAtMs = performance.now();
    const report = await tierFiles(
      {
        ...engine,
        move: (file, to) => moveToBackend(engine, file, to, signal),
        findObstacle: () => findObstacle(engine),
      },
      { rules, parallel, bytesPerSecond: rate || undefined, signal, onMoved },
    );
    tell(log, report, performance.now() - startedAtMs);
    return report;
  };
  const onFailure = (error: unknown): void => log.warn({ err: error }, 'tiering was broken off and will be repeated');
  return keepTiering({ everyMs, random: Math.random(), round, onFailure });
}

function tell(log: Logger, report: TierReport, durationMs: number): void {
  const { moved, left, failed, failures, obstacle } = report;
  const fields = { files: moved.files, bytes: moved.sizeBytes, left, failed, duration_ms: Math.round(durationMs) };
  if (obstacle === undefined && failed === 0) {
    log.info(fields, 'tiering: moved what was due');
    return;
  }
  const [example] = [...failures].map(([path, reason]) => ({ path, reason }));
  log.warn({ ...fields, example, obstacle }, 'tiering: not everything that was due could be moved');
}

/** An instance that shall hold nothing any more, or that lacks its store or a backend, moves nothing. */
async function findObstacle({ isDraining, store, backends }: EngineContext): Promise<string | undefined> {
  if (isDraining()) return 'the instance is being drained';
  try {
    await store.resolve([]);
    for (const backend of backends.values()) await backend.check();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return undefined;
}
