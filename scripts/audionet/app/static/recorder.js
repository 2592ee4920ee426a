// Recording from the microphone as plain wav, which every decoder reads. Nothing is smoothed, levelled or left out.

const MOST_SECONDS = 120;
const UNPROCESSED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };

/** Open the microphone, and return its rate, the blocks of samples that it goes on adding to, and what closes it. */
export async function openMicrophone() {
  if (!navigator.mediaDevices) throw new Error("The browser lets this page record only over https or on this machine itself. Choose a file instead.");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: UNPROCESSED });
  } catch (error) {
    throw new Error(error.name === "NotFoundError" ? "There is no microphone. Connect one, or choose a file." : "The browser may not use the microphone. Allow it beside the address, or choose a file.");
  }
  const context = new AudioContext();
  await context.audioWorklet.addModule("/static/capture_worklet.js");
  const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
  const blocks = [];
  capture.port.onmessage = ({ data }) => blocks.push(data);
  context.createMediaStreamSource(stream).connect(capture);
  const close = async () => {
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
  };
  return { blocks, rate: context.sampleRate, close };
}

/** Turn a button into one that records: pressed once it begins, pressed again it hands over a file. */
export function recordWith(button, { take, fail }) {
  let recording = null;
  const words = button.querySelector(".words");
  const idle = words.textContent;

  async function begin() {
    const microphone = await openMicrophone();
    const begun = performance.now();
    const timer = setInterval(() => {
      const seconds = (performance.now() - begun) / 1000;
      words.textContent = `Stop  ${Math.floor(seconds / 60)}:${String(Math.floor(seconds) % 60).padStart(2, "0")}`;
      if (seconds >= MOST_SECONDS) finish();
    }, 200);
    recording = { microphone, timer };
    button.classList.add("recording");
    words.textContent = "Stop  0:00";
  }

  async function finish() {
    const { microphone, timer } = recording;
    recording = null;
    clearInterval(timer);
    await microphone.close();
    button.classList.remove("recording");
    words.textContent = idle;
    const moment = new Date().toTimeString().slice(0, 8).replaceAll(":", "");
    await take(new File([wavOf(microphone.blocks, microphone.rate)], `recording_${moment}.wav`, { type: "audio/wav" }));
  }

  button.addEventListener("click", async () => {
    try {
      await (recording ? finish() : begin());
    } catch (error) {
      fail(error);
    }
  });
}

/** Return blocks of samples as a wav file of 16 bits. */
export function wavOf(blocks, rate) {
  const count = blocks.reduce((sum, block) => sum + block.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const text = (place, letters) => [...letters].forEach((letter, index) => view.setUint8(place + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * count, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * count, true);
  let place = 44;
  for (const block of blocks) {
    for (const sample of block) {
      view.setInt16(place, Math.max(-1, Math.min(1, sample)) * 32767, true);
      place += 2;
    }
  }
  return view.buffer;
}
