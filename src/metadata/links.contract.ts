/** Single-use links, as tests that run over each metadata store. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Link } from './link-store.ts';
import type { MetadataStore } from './metadata-store.ts';

const link: Link = { digest: 'digest', entryId: 'entry', userName: 'alice', expiresAtMs: 1000 };
const claim = (claimId: string, nowMs = 1) => ({ digest: link.digest, claimId, nowMs, untilMs: nowMs + 100 });

/**
 * @param open gives a new, empty store every time
 * @param reopen opens the store that `open` gave last once more, as another instance would; undefined: nothing shares it
 */
export function linksContract(
  name: string,
  open: () => Promise<MetadataStore>,
  reopen?: () => Promise<MetadataStore>,
): void {
  describe(`${name} and single-use links`, () => {
    claiming(open);
    using(open, reopen);
    forgetting(open);
  });
}

type Open = () => Promise<MetadataStore>;

function claiming(open: Open): void {
  it('finds what was added, and nothing else', async () => {
    await using store = await open();
    await store.links.add(link);
    assert.deepEqual(await store.links.find(link.digest), { ...link, used: false });
    assert.equal(await store.links.find('another'), undefined);
    await assert.rejects(store.links.add(link), 'a digest names one link');
  });

  it('reserves a link for one attempt until its time is over or it is given back', async () => {
    await using store = await open();
    await store.links.add(link);
    assert.equal(await store.links.claim({ ...claim('one'), digest: 'another' }), false);
    assert.equal(await store.links.claim(claim('one')), true);
    assert.equal(await store.links.claim(claim('one')), true, 'repeated');
    assert.equal(await store.links.claim(claim('two', 100)), false, 'still reserved');
    assert.equal(await store.links.claim(claim('two', 101)), true, 'the time is over');
    await store.links.release({ digest: link.digest, claimId: 'one' });
    assert.equal(await store.links.claim(claim('three', 102)), false, 'only who has it can give it back');
    await store.links.release({ digest: link.digest, claimId: 'two' });
    assert.equal(await store.links.claim(claim('three', 102)), true);
  });

  it('reserves nothing that is expired', async () => {
    await using store = await open();
    await store.links.add(link);
    assert.equal(await store.links.claim(claim('late', link.expiresAtMs)), false);
    assert.equal(await store.links.claim(claim('in time', link.expiresAtMs - 1)), true);
  });
}

function using(open: Open, reopen: Open | undefined): void {
  it('is used up by who has claimed it, and by nobody else', async () => {
    await using store = await open();
    await store.links.add(link);
    assert.equal(await store.links.use({ digest: link.digest, claimId: 'nobody' }), false);
    await store.links.claim(claim('slow'));
    await store.links.claim(claim('fast', 500));
    assert.equal(await store.links.use({ digest: link.digest, claimId: 'slow' }), false, 'it came too late');
    assert.equal((await store.links.find(link.digest))?.used, false);
    assert.equal(await store.links.use({ digest: link.digest, claimId: 'fast' }), true);
    assert.deepEqual(await store.links.find(link.digest), { ...link, used: true });
    await store.links.release({ digest: link.digest, claimId: 'fast' });
    assert.equal(await store.links.claim(claim('later', 900)), false);
    assert.equal((await store.links.find(link.digest))?.used, true);
  });

  it('lets one of many succeed who claim and use it at once', async () => {
    await using store = await open();
    await using other = reopen ? await reopen() : undefined;
    await store.links.add(link);
    const attempts = Array.from({ length: 60 }, async (_, index) => {
      const at = index % 2 === 1 && other ? other : store;
      // Every claim is over at once, so that claims are taken away before they are used.
      const claimed = await at.links.claim({ ...claim(`claim-${index}`, index + 1), untilMs: 0 });
      return claimed && (await at.links.use({ digest: link.digest, claimId: `claim-${index}` }));
    });
    const succeeded = (await Promise.all(attempts)).filter((used) => used);
    assert.equal(succeeded.length, 1);
  });
}

function forgetting(open: Open): void {
  it('forgets what expired before a moment, the oldest first, so many at once', async () => {
    await using store = await open();
    for (const expiresAtMs of [30, 10, 20, 40]) {
      await store.links.add({ ...link, digest: `expires-at-${expiresAtMs}`, expiresAtMs });
    }
    assert.equal(await store.links.forget({ expiredBeforeMs: 10, limit: 10 }), 0);
    assert.equal(await store.links.forget({ expiredBeforeMs: 40, limit: 2 }), 2);
    assert.equal(await store.links.find('expires-at-20'), undefined);
    assert.equal((await store.links.find('expires-at-30'))?.expiresAtMs, 30);
    assert.equal(await store.links.forget({ expiredBeforeMs: 40, limit: 2 }), 1);
    assert.equal((await store.links.find('expires-at-40'))?.expiresAtMs, 40);
  });
}
