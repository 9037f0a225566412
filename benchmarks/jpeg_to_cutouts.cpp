// The original's preprocessing in the engine of R's imager: CImg. Compiled and run by jpeg_to_cutouts.py.
//
// Usage: jpeg_to_cutouts WAY SIZE FOLDER FILE...
//   WAY "passes": for each of 0, 45, 90 degrees decode, crop, rotate, crop back, resize (grid), save as JPEG in FOLDER,
//   as the workflow of 2017 did; "once": one decode, the same three views with sky in their corners, nothing written.
// Prints microseconds of CPU time per image.
#define cimg_display 0
#define cimg_use_jpeg
#define cimg_use_openmp 0
#include "CImg.h"

#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

using Image = cimg_library::CImg<unsigned char>;

static const double ANGLES[] = {0, 45, 90};

static Image middle(const Image &image, int side) {
  const int x = (image.width() - side) / 2, y = (image.height() - side) / 2;
  return image.get_crop(x, y, x + side - 1, y + side - 1);
}

static void passes(const std::string &file, int size, const std::string &folder, size_t number) {
  for (int k = 0; k < 3; ++k) {
    Image image;
    image.load_jpeg(file.c_str());
    const int edge = (int)(0.26 * image.width() + 0.5);  // 110 of 424: 204 px are left
    image.crop(edge, edge, image.width() - edge - 1, image.height() - edge - 1);
    const int side = image.width();
    image.rotate(ANGLES[k], 1, 0);
    middle(image, side).get_resize(size, size, 1, 3, 4).save_jpeg(
        (folder + "/" + std::to_string(k) + "_" + std::to_string(number) + ".jpg").c_str(), 95);
  }
}

static unsigned once(const std::vector<unsigned char> &data, int size) {
  FILE *file = fmemopen(const_cast<unsigned char *>(data.data()), data.size(), "rb");
  Image image;
  image.load_jpeg(file);
  std::fclose(file);
  unsigned sum = 0;
  for (int k = 0; k < 3; ++k) {
    Image part = middle(image, ANGLES[k] == 45 ? 290 : 204);
    if (ANGLES[k] != 0) part.rotate(ANGLES[k], 1, 0);
    sum += middle(part, 204).get_resize(size, size, 1, 3, 2)(size / 2, size / 2);
  }
  return sum;
}

int main(int count, char **arguments) {
  if (count < 5) return 2;
  const bool original = !std::strcmp(arguments[1], "passes");
  const int size = std::atoi(arguments[2]);
  const std::string folder = arguments[3];
  const std::vector<std::string> files(arguments + 4, arguments + count);
  std::vector<std::vector<unsigned char>> contents;
  for (const auto &name : files) {
    FILE *file = std::fopen(name.c_str(), "rb");
    std::vector<unsigned char> data(1 << 20);
    data.resize(std::fread(data.data(), 1, data.size(), file));
    std::fclose(file);
    contents.push_back(data);
  }
  volatile unsigned sum = 0;
  const clock_t begin = std::clock();
  for (size_t k = 0; k < files.size(); ++k) {
    if (original) passes(files[k], size, folder, k);
    else sum = sum + once(contents[k], size);
  }
  std::printf("%.2f\n", 1e6 * (std::clock() - begin) / CLOCKS_PER_SEC / files.size());
  return 0;
}
