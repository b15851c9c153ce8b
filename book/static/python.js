// Python in the page: MicroPython in a worker, from a page opened from disk. Such a page may load
// classic scripts, and workers from data: addresses; in them modules from blob: addresses. A worker
// runs one piece of code and is then ended, so that nothing is left over; the next one is made ready.
const python = (() => {
  const HERE = document.currentScript.src.replace(/python\.js.*$/, "");
  const MOST_LINES = 20;

  // The worker's own code: it stands as text in the worker's address.
  function work() {
    let micropython;
    async function begin({ mjs, wasm, sources }) {
      self.fetch = async () =>
        new Response(wasm, { headers: { "Content-Type": "application/wasm" } });
      const address = URL.createObjectURL(new Blob([mjs], { type: "text/javascript" }));
      const { loadMicroPython } = await import(address);
      micropython = await loadMicroPython({
        url: "micropython.wasm",
        heapsize: 32 << 20,
        pystack: 16 << 10,
        stdout: (line) => self.postMessage({ line }),
        stderr: () => {},
      });
      for (const source of sources) micropython.runPython(source);
    }
    function judge({ job }) {
      micropython.globals.set("JOB", job);
      micropython.runPython("RESULT = verdict(JOB)");
      return JSON.parse(micropython.globals.get("RESULT"));
    }
    self.onmessage = async ({ data }) => {
      try {
        self.postMessage({ done: data.wasm ? await begin(data) : judge(data) });
      } catch (error) {
        self.postMessage({ failed: String(error) });
      }
    };
  }

  // Printing without end would drown the page: after some lines the worker says no more.
  const ADDRESS = `data:text/javascript,${encodeURIComponent(`(() => {
    let lines = 0;
    const post = self.postMessage.bind(self);
    self.postMessage = (said) => { if (!("line" in said) || ++lines <= ${MOST_LINES + 1}) post(said); };
    (${work})();
  })()`)}`;

  async function unzipped(text) {
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  let parts = null; // MicroPython, a promise: loaded at the first use
  function loaded() {
    parts ??= new Promise((done, fail) => {
      const script = Object.assign(document.createElement("script"), { src: `${HERE}vendor/micropython.js` });
      script.onload = () => done();
      script.onerror = () => fail(new Error("vendor/micropython.js is not there"));
      document.head.append(script);
    }).then(async () => ({
      mjs: new TextDecoder().decode(await unzipped(MICROPYTHON.mjs)),
      wasm: await unzipped(MICROPYTHON.wasm),
      sources: JSON.parse(document.getElementById("exercise-python").textContent),
    }));
    return parts;
  }

  // A worker that is ready to run, as a promise.
  async function made() {
    const message = await loaded();
    const worker = new Worker(ADDRESS, { type: "module" });
    await new Promise((done, fail) => {
      worker.onmessage = ({ data }) => (data.failed ? fail(new Error(data.failed)) : done());
      worker.onerror = (event) => fail(new Error(event.message || "no worker starts"));
      worker.postMessage(message);
    });
    return worker;
  }

  let next = null; // the worker that waits, a promise

  // Runs a job, which an AbortSignal may stop. Gives its verdict, and what is `printed`; or how it
  // `ended`: "time", "stop" or "crash".
  async function run(job, seconds, signal) {
    const waiting = next ?? made();
    next = null;
    const worker = await waiting;
    const printed = [];
    let clock;
    const verdict = await new Promise((done) => {
      clock = setTimeout(() => done({ ended: "time" }), 1000 * seconds);
      signal.addEventListener("abort", () => done({ ended: "stop" }));
      if (signal.aborted) done({ ended: "stop" });
      worker.onmessage = ({ data }) => {
        if ("line" in data) printed.push(data.line);
        else done(data.failed ? { ended: "crash" } : data.done);
      };
      worker.postMessage({ job: JSON.stringify(job) });
    });
    clearTimeout(clock);
    worker.terminate();
    next = made();
    next.catch(() => { next = null; });
    if (printed.length > MOST_LINES) printed.splice(MOST_LINES, 1, "…");
    return { ...verdict, printed };
  }

  return { run };
})();
