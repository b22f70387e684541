# Read by CMake right after llama.cpp's own project() line. The Python package asks for llama.cpp's
# "common" library (command-line parsing, chat templates, an HTTP client) although it never loads it;
# leaving that out removes two fifths of the files to compile.
set(LLAMA_BUILD_COMMON OFF)
