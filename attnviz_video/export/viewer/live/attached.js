// The images that will be sent with a prompt: chosen, dropped, pasted, or those of an earlier run.

const thumbs = document.getElementById('thumbs');
const fileInput = document.getElementById('files');
const IMAGE_KINDS = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/bmp', 'image/tiff'];
/** More thumbnails than that are smaller. */
const MANY = 3;

/** Files with the address of their thumbnail; `earlier` names one that the server has already, as RUN/NUMBER. */
let attached = [];

function attachFiles(files) {
  complain('');
  for (const file of files) {
    const trouble = troubleWith(file);
    if (trouble) {
      complain(trouble);
      break;
    }
    attached.push({ file, address: URL.createObjectURL(file) });
  }
  paintThumbs();
}

/** Why a file cannot be attached, in a sentence; empty where it can. */
function troubleWith(file) {
  const { model, limits } = state.server ?? {};
  if (model && !model.vision) return `${plain(model.name)} reads text only; it takes no images`;
  if (!IMAGE_KINDS.includes(file.type)) return `“${plain(file.name)}” is not an image that can be read; PNG, JPEG, WEBP, GIF, BMP and TIFF are`;
  const most = model?.max_images;
  if (most && attached.length >= most) return `this server takes at most ${most} ${most === 1 ? 'image' : 'images'}; it was started with --max_image_num ${most}`;
  const size = attached.reduce((sum, own) => sum + own.file.size, file.size);
  const limit = limits?.max_upload_mb;
  if (limit && size > limit * 1e6) return `these images have ${(size / 1e6).toFixed(0)} MB together; the server takes ${limit} MB (--max_upload_mb)`;
  return '';
}

function detach(own) {
  URL.revokeObjectURL(own.address);
  attached = attached.filter((other) => other !== own);
  complain('');
  paintThumbs();
  document.getElementById('attach').focus();
}

function paintThumbs() {
  thumbs.hidden = !attached.length;
  thumbs.classList.toggle('many', attached.length > MANY);
  thumbs.replaceChildren(...attached.map((own) => {
    const image = make('img');
    image.src = own.address;
    image.alt = plain(own.file.name);
    image.title = plain(own.file.name);
    const away = make('button', 'remove', '×');
    away.type = 'button';
    away.title = `Remove ${plain(own.file.name)}`;
    away.setAttribute('aria-label', away.title);
    away.addEventListener('click', () => detach(own));
    const place = make('li', '', image, away);
    // Browsers show no TIFF: its name stands for it.
    image.addEventListener('error', () => image.replaceWith(make('span', 'no-preview', plain(own.file.name))));
    return place;
  }));
}

/** Puts other images in the place of those that are there. */
function setAttached(images) {
  attached = images;
  paintThumbs();
}

document.getElementById('attach').addEventListener('click', () => fileInput.click());
fileInput.accept = IMAGE_KINDS.join(',');
fileInput.addEventListener('change', () => {
  attachFiles(fileInput.files);
  fileInput.value = '';
});

addEventListener('paste', (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  attachFiles(files);
});

const drop = document.getElementById('drop');
const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
addEventListener('dragenter', (event) => { if (hasFiles(event)) drop.hidden = false; });
addEventListener('dragover', (event) => { if (hasFiles(event)) event.preventDefault(); });
addEventListener('dragleave', (event) => { if (!event.relatedTarget) drop.hidden = true; });
addEventListener('drop', (event) => {
  drop.hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  showSide(true);
  attachFiles(event.dataTransfer.files);
});
