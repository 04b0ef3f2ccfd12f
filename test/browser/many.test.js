/* Many at once: 200 clients of one gateway, of which some are real tabs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gateway, knock, open, openIn, playOn, someName, until } from './harness.js';

const { address } = await gateway();

test('200 clients hear each line, and tabs of one browser do not block each other', async () => {
	const name = someName();
	const page = await open(`${address}/play?new`);
	await knock(page, name);
	// More tabs than a browser has connections to one server.
	const tabs = [];
	for (let i = 0; i < 8; i++)
		tabs.push(await openIn(page.context(), `${address}/play?watch=${encodeURIComponent(name)}`));
	const heard = new Array(191).fill('');
	const controller = new AbortController();
	await Promise.all(heard.map(async (_, i) => {
		const response = await fetch(`${address}/events?player=${encodeURIComponent(name)}&after=0`, { signal: controller.signal });
		assert.equal(response.status, 200);
		(async () => {
			for await (const chunk of response.body.pipeThrough(new TextDecoderStream()))
				heard[i] += chunk;
		})().catch(() => {});
	}));
	await playOn(page);
	await page.getByRole('heading', { name: `${name} has won!` }).waitFor();
	for (const tab of tabs)
		await tab.getByRole('heading', { name: `${name} has won!` }).waitFor();
	await until(() => heard.every(text => text.includes('has won!')), 'all clients hear of the victory');
	controller.abort();
	await page.context().close();
});
