/*
 * frames: how smoothly a page scrolls, from the browser's own trace: the times between the frames that it drew while it was
 * being scrolled.
 */
const CATEGORIES = ['-*', 'devtools.timeline', 'disabled-by-default-devtools.timeline.frame', 'devtools.timeline.frame',
	'disabled-by-default-devtools.timeline', 'toplevel'];
const SPEED = 1800;	/* pixels a second */

/* The value below which a share of the sorted values lies. */
function quantile(sorted, share) {
	return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

/* Median, p95 and longest of the intervals, in milliseconds. */
function summary(intervals) {
	const sorted = [...intervals].sort((a, b) => a - b);
	const round = x => Math.round(x * 10) / 10;
	return { n: sorted.length, p50: round(quantile(sorted, 0.5)), p95: round(quantile(sorted, 0.95)), max: round(sorted.at(-1)) };
}

/* Turns the wheel to the end of the page and back, as a hand would. */
async function scroll(page) {
	const session = await page.context().newCDPSession(page);
	const height = await page.evaluate(() => document.documentElement.scrollHeight - innerHeight);
	const { width, height: tall } = page.viewportSize();
	for (const distance of [-height, height])
		await session.send('Input.synthesizeScrollGesture', { x: Math.round(width * 0.7), y: Math.round(tall / 2),
			yDistance: distance, speed: SPEED, gestureSourceType: 'mouse', preventFling: true });
	await session.detach();
	return 2 * height;
}

/* Starts to keep the times at which scripts may run, one per frame. */
function watchFrames(page) {
	return page.evaluate(() => {
		globalThis.bfFrames = [];
		const note = at => {
			globalThis.bfFrames?.push(at);
			if (globalThis.bfFrames)
				requestAnimationFrame(note);
		};
		requestAnimationFrame(note);
	});
}

/* Intervals between the frames drawn by the page's own process; those that span a pause of the gesture are part of it. */
function drawn(trace) {
	const frames = trace.traceEvents.filter(e => e.name === 'DrawFrame');
	const mine = new Map();
	for (const e of frames)
		mine.set(e.pid, [...mine.get(e.pid) ?? [], e.ts / 1000]);
	const longest = [...mine.values()].sort((a, b) => b.length - a.length)[0] ?? [];
	longest.sort((a, b) => a - b);
	return longest.slice(1).map((at, i) => at - longest[i]);
}

/* Scrolls through the page. {pixels, trace, script}: the frames by the trace, and as scripts saw them; dropped: how many the
 * trace calls dropped; task: the longest task of the main thread, in milliseconds. */
export async function measure(browser, page) {
	await browser.startTracing(page, { categories: CATEGORIES });
	await watchFrames(page);
	const pixels = await scroll(page);
	const times = await page.evaluate(() => {
		const kept = globalThis.bfFrames;
		globalThis.bfFrames = null;
		return kept;
	});
	const trace = JSON.parse((await browser.stopTracing()).toString('utf8'));
	const tasks = trace.traceEvents.filter(e => e.name === 'RunTask' && e.dur).map(e => e.dur / 1000);
	return { pixels, trace: summary(drawn(trace)), script: summary(times.slice(1).map((t, i) => t - times[i])),
		dropped: trace.traceEvents.filter(e => e.name === 'DroppedFrame').length,
		task: Math.round(Math.max(0, ...tasks) * 10) / 10 };
}
